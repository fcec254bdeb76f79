// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package fuzz

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/seed-cb702d51/tfork-go/internal/testutil"
)

// enterFixture makes a directory with all kinds of programs and files the
// working directory of the test:
//
//	pause, exit3       programs that do nothing, and end with 3
//	sub/exit7          one in a directory
//	data               a file with "data\n", not executable
//	garbage            an executable that is no program
//	script             one with an interpreter that does not exist
//	loop               a symbolic link to itself
func enterFixture(t testing.TB) {
	t.Helper()
	dir := t.TempDir()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.Chmod(dir, 0o755))
	in := func(name string) string { return filepath.Join(dir, name) }
	must(os.Mkdir(in("sub"), 0o755))
	must(os.Symlink(testutil.TinyPause(t), in("pause")))
	must(os.Symlink(testutil.Tiny(t, 3), in("exit3")))
	must(os.Symlink(testutil.Tiny(t, 7), in("sub/exit7")))
	must(os.WriteFile(in("data"), []byte("data\n"), 0o644))
	must(os.WriteFile(in("garbage"), []byte("garbage"), 0o755))
	must(os.WriteFile(in("script"), []byte("#!/missing/interpreter\n"), 0o755))
	must(os.Symlink("loop", in("loop")))
	t.Chdir(dir)
}
