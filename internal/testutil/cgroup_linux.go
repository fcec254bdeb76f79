// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package testutil

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// CgroupMount returns where the cgroup v2 hierarchy is mounted, and skips the
// test where it is not.
func CgroupMount(t testing.TB) string {
	t.Helper()
	for _, dir := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"} {
		var fs unix.Statfs_t
		if err := unix.Statfs(dir, &fs); err == nil && int64(fs.Type) == unix.CGROUP2_SUPER_MAGIC {
			return dir
		}
	}
	t.Skip("no cgroup v2 hierarchy is mounted on this host")
	return ""
}

// Cgroup makes a cgroup of the test's own, at the root of the hierarchy or,
// for an ordinary user, beside or in the cgroup that the test runs in (beside
// it controllers may be on), and returns its path.
// It skips the test where neither is allowed. At the end everything in it is
// killed and it is removed.
func Cgroup(t testing.TB) string {
	t.Helper()
	parents := []string{CgroupMount(t)}
	text, _ := os.ReadFile("/proc/self/cgroup")
	if _, own, ok := strings.Cut("\n"+string(text), "\n0::"); ok {
		own, _, _ = strings.Cut(own, "\n")
		dir := filepath.Join(parents[0], own)
		parents = append(parents, filepath.Dir(dir), dir)
	}
	for _, parent := range parents {
		dir, err := os.MkdirTemp(parent, "tfork-test-")
		if err == nil {
			t.Cleanup(func() { RemoveCgroup(t, dir) })
			os.Chmod(dir, 0o755)
			return dir
		}
		if !os.IsPermission(err) && !errors.Is(err, unix.EROFS) {
			t.Fatal(err)
		}
	}
	t.Skip("this user may make no cgroup here")
	return ""
}

// RemoveCgroup thaws and kills what is in a cgroup and removes it with all
// below it.
func RemoveCgroup(t testing.TB, dir string) {
	t.Helper()
	Poll(t, 30*time.Second, "cgroup is removed: "+dir, func() bool {
		var dirs []string
		filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				dirs = append(dirs, path)
			}
			return nil
		})
		for i := len(dirs) - 1; i >= 0; i-- {
			os.WriteFile(filepath.Join(dirs[i], "cgroup.freeze"), []byte("0"), 0)
			for pid := range strings.FieldsSeq(ReadFile(filepath.Join(dirs[i], "cgroup.procs"))) {
				killText(pid)
			}
			unix.Rmdir(dirs[i])
		}
		_, err := os.Stat(dir)
		return os.IsNotExist(err)
	})
}

// ReadFile returns a file's text, or "" if it cannot be read.
func ReadFile(path string) string {
	b, _ := os.ReadFile(path)
	return string(b)
}

func killText(pid string) {
	if n, err := strconv.Atoi(pid); err == nil && n > 1 && n != os.Getpid() {
		unix.Kill(n, unix.SIGKILL)
	}
}
