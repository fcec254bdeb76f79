// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/seed-cb702d51/tfork-go/prefork"
)

// runtimePrefix begins the names of the directories of servers that were given
// none.
const runtimePrefix = "tforkdemo-"

// runtimeBase is where those directories are: for prefork, which makes them, as
// for ps, which looks for them.
func runtimeBase() string {
	if dir := os.Getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(dir) {
		if info, err := os.Stat(dir); err == nil && info.IsDir() {
			return dir
		}
	}
	return os.TempDir()
}

// makeRuntimeDir makes a directory for one server, and removes those of servers
// that were killed: nobody else would.
func makeRuntimeDir() (string, error) {
	base := runtimeBase()
	left, _ := filepath.Glob(filepath.Join(base, runtimePrefix+"*"))
	for _, dir := range left {
		if closed(dir) {
			prefork.RemoveRuntimeDir(dir) // one that is in use stays
		}
	}
	dir, err := os.MkdirTemp(base, runtimePrefix)
	if err != nil {
		return "", fmt.Errorf("runtime directory: %w", err)
	}
	return dir, nil
}

// findRuntimeDir finds the one server that lives below runtimeBase. What a
// crashed one left behind does not count.
func findRuntimeDir() (string, error) {
	base := runtimeBase()
	entries, err := os.ReadDir(base)
	if err != nil {
		return "", fmt.Errorf("runtime directory: %w", err)
	}
	var found []string
	for _, e := range entries {
		if dir := filepath.Join(base, e.Name()); strings.HasPrefix(e.Name(), runtimePrefix) && lives(dir) {
			found = append(found, dir)
		}
	}
	switch len(found) {
	case 0:
		return "", fmt.Errorf("no server in %s: name its directory with --runtime-dir", filepath.Join(base, runtimePrefix+"*"))
	case 1:
		return found[0], nil
	}
	return "", errors.New("more than one server: choose with --runtime-dir\n  " + strings.Join(found, "\n  "))
}

// lives tells whether a server lives on dir. Only a directory of our own that is
// closed to others is looked at: in one of another user anything could answer.
func lives(dir string) bool {
	if !closed(dir) {
		return false
	}
	table, err := prefork.Processes(dir)
	return err == nil && len(table) > 0
}

// closed tells whether dir is a directory of our own that is closed to others, no
// link. Root may look into every directory, so its mode alone says nothing.
func closed(dir string) bool {
	info, err := os.Lstat(dir)
	return err == nil && info.IsDir() && info.Mode().Perm()&0o077 == 0 && ours(info)
}
