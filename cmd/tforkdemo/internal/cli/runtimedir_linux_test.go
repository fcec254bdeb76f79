// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"os"
	"path/filepath"
	"testing"
)

// TestClosed_NobodyElseCanAnswer: not in a directory that others may enter, and
// not in one of another user, which root may enter.
func TestClosed_NobodyElseCanAnswer(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	hold := func(what string, dir string, want bool) {
		t.Helper()
		if got := closed(dir); got != want {
			t.Errorf("%s: %v", what, got)
		}
	}
	hold("our own", dir, true)
	if err := os.Symlink(dir, dir+".link"); err != nil {
		t.Fatal(err)
	}
	hold("a link", dir+".link", false)
	hold("none", dir+".none", false)
	os.Chmod(dir, 0o710)
	hold("one for a group", dir, false)
	os.Chmod(dir, 0o700)
	if err := os.Chown(dir, os.Geteuid()+1, -1); err != nil {
		t.Skip("only root can give a directory away")
	}
	hold("another user's", dir, false)
}
