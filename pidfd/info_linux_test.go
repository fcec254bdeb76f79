// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package pidfd

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/seed-cb702d51/tfork-go/internal/testutil"
)

func TestInfo(t *testing.T) {
	testutil.NeedFeature(t, "6.13", HaveInfo)
	c := sh(t, "read x")
	got, err := c.Info()
	if err != nil {
		t.Fatal(err)
	}
	u, g := os.Getuid(), os.Getgid()
	want := Info{
		PID: c.pid, TGID: c.pid, PPID: os.Getpid(),
		RUID: u, EUID: u, SUID: u, FSUID: u, RGID: g, EGID: g, SGID: g, FSGID: g,
		CgroupID: got.CgroupID,
	}
	if got != want {
		t.Errorf("Info = %+v, want %+v", got, want)
	}
	if got.CgroupID == 0 {
		t.Error("no cgroup id")
	}
	c.Signal(unix.SIGKILL)
	testutil.Poll(t, patience, "a zombie", func() bool { return testutil.StateOf(c.pid) == "Z" })
	if got, err := c.Info(); err != nil || got.PID != c.pid {
		t.Errorf("Info of a zombie = %v, %v", got, err)
	}
	if _, err := c.Wait(soon(t)); err != nil {
		t.Fatal(err)
	}
	if got, err := c.Info(); err != os.ErrProcessDone || got != (Info{}) {
		t.Errorf("Info of a reaped process = %v, %v, want os.ErrProcessDone", got, err)
	}
}

func TestInfo_MissingGroup(t *testing.T) {
	i := rawInfo{mask: unix.PIDFD_INFO_PID | unix.PIDFD_INFO_CREDS, pid: 1, cgroupID: 99}
	if got := i.public(); got.CgroupID != 0 || got.PID != 1 {
		t.Errorf("public = %+v, want no cgroup id, as the mask says", got)
	}
}

func TestExitInfo(t *testing.T) {
	needExitInfo(t)
	c := sh(t, "read x; exit 4")
	var cgroup uint64
	if i, err := c.Info(); err == nil {
		cgroup = i.CgroupID
	}
	if _, err := c.ExitInfo(); err != ErrRunning {
		t.Errorf("ExitInfo while it runs = %v, want ErrRunning", err)
	}
	c.stdin.Close()
	if _, err := c.Wait(soon(t)); err != nil {
		t.Fatal(err)
	}
	got, err := c.ExitInfo()
	if want := (Record{Status: exited(4), CgroupID: cgroup}); err != nil || got != want {
		t.Errorf("ExitInfo = %+v, %v, want %+v", got, err, want)
	}
}

func TestExitInfo_CoreDump(t *testing.T) {
	testutil.NeedFeature(t, "6.16", HaveCoredump)
	if pattern, _ := os.ReadFile("/proc/sys/kernel/core_pattern"); len(pattern) == 0 || pattern[0] == '|' || pattern[0] == '@' {
		t.Skipf("core dumps go to a program: %s", pattern)
	}
	c := sh(t, "cd '"+filepath.ToSlash(t.TempDir())+"' && ulimit -c 1000 && kill -SEGV $$")
	exit, err := c.Wait(soon(t))
	if err != nil || exit.Status.Signal() != unix.SIGSEGV {
		t.Fatalf("Wait = %v, %v, want SIGSEGV", exit, err)
	}
	if !exit.Status.CoreDump() {
		t.Skip("no core dump here (a limit on its size that cannot be raised)")
	}
	got, err := c.ExitInfo()
	if err != nil || got.Status != exit.Status {
		t.Errorf("ExitInfo = %+v, %v, want status %#x", got, err, exit.Status)
	}
	t.Logf("core dump: %#x", got.Core)
	if got.Core != 0 && got.Core&CoreDumped == 0 {
		t.Errorf("Core = %#x after a core dump", got.Core)
	}
}

func TestExitInfo_UnknownBefore615(t *testing.T) {
	if HaveExitInfo() == nil {
		t.Skip("this kernel can tell")
	}
	c := sh(t, "exit 4")
	if _, err := c.Wait(soon(t)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.ExitInfo(); !errors.Is(err, ErrStatusUnknown) || !errors.Is(err, ErrNotSupported) {
		t.Errorf("ExitInfo = %v, want ErrStatusUnknown and ErrNotSupported", err)
	}
}
