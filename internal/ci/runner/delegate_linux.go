// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/seed-cb702d51/tfork-go/internal/ci/plan"
)

// delegate gives the ordinary user a cgroup, the way a service manager does
// for a login session: the user owns the group and may make groups in it, and
// the user's processes are in a leaf of it. It returns the leaf, to start a
// process in. A second call finds what the first one made.
func delegate(root string) (*os.File, error) {
	group := filepath.Join(root, "user")
	leaf := filepath.Join(group, "session")
	if err := os.MkdirAll(leaf, 0o755); err != nil {
		return nil, err
	}
	if err := enableControllers(group); err != nil {
		return nil, err
	}
	for _, dir := range []string{group, leaf} {
		for _, name := range []string{"", "cgroup.procs", "cgroup.threads", "cgroup.subtree_control"} {
			if err := os.Chown(filepath.Join(dir, name), plan.Nobody, plan.Nobody); err != nil {
				return nil, err
			}
		}
	}
	return os.OpenFile(leaf, unix.O_DIRECTORY|unix.O_PATH, 0)
}

// fdOf returns the number behind f, which keeps it.
func fdOf(f *os.File) (fd uintptr) {
	if c, err := f.SyscallConn(); err == nil {
		c.Control(func(n uintptr) { fd = n })
	}
	return fd
}
