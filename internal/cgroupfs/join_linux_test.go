// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package cgroupfs

import (
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/seed-cb702d51/tfork-go/internal/testutil"
)

// helperJoin joins the cgroup it is given and starts a process, then prints
// where that is.
var helperJoin = testutil.Helper("join", func(args []string) int {
	fd, err := unix.Open(args[0], unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err == nil {
		err = Join(fd)
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	out, err := exec.Command("/bin/cat", "/proc/self/cgroup").Output()
	fmt.Print(string(out))
	if err != nil {
		return 1
	}
	return 0
})

func TestJoin_WhatItStartsIsInside(t *testing.T) {
	dir := testutil.Cgroup(t)
	c := exec.Command(testutil.Exe(), dir)
	c.Env = testutil.HelperEnv(helperJoin)
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("helper: %v\n%s", err, out)
	}
	if self, ok := ParseSelf(out); !ok || filepath.Base(self) != filepath.Base(dir) {
		t.Errorf("it ran in %q, want %s", self, dir)
	}
}

func TestMove(t *testing.T) {
	dir := testutil.Cgroup(t)
	fd := open(t, dir)
	c := exec.Command("/bin/sleep", "100")
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	defer c.Wait()
	defer c.Process.Kill()
	if err := Move(fd, c.Process.Pid); err != nil {
		t.Fatal(err)
	}
	if got, want := strings.TrimSpace(testutil.ReadFile(dir+"/cgroup.procs")), fmt.Sprint(c.Process.Pid); got != want {
		t.Errorf("cgroup.procs = %q, want %q", got, want)
	}
	if err := Move(fd, 1<<30); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("a process that does not exist: %v", err)
	}
}
