// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package testutil

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// helperPID1 only looks whether it can be what [PID1] promises.
var helperPID1 = Helper("testutil pid 1", func([]string) int {
	MustBePID1()
	return 0
})

// PID1 returns what makes a process the first one of a pid namespace, which must
// call [MustBePID1]. An ordinary user is root in a user namespace for it. The
// test is skipped where neither is allowed.
func PID1(t testing.TB) *syscall.SysProcAttr {
	t.Helper()
	attr := func() *syscall.SysProcAttr {
		a := &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNS}
		if os.Geteuid() != 0 {
			a.Cloneflags |= unix.CLONE_NEWUSER
			a.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
			a.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
		}
		return a
	}
	probe := exec.Command(ExeForAnyUser)
	probe.Env, probe.SysProcAttr = HelperEnv(helperPID1), attr()
	if out, err := probe.CombinedOutput(); err != nil {
		t.Skipf("no pid namespace for us: %v %s", err, out)
	}
	return attr()
}

// MustBePID1 gives the first process of a pid namespace its own /proc, and ends
// any other one.
func MustBePID1() {
	err := unix.Mount("none", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
	if err == nil {
		err = unix.Mount("proc", "/proc", "proc", 0, "")
	}
	if err != nil || os.Getpid() != 1 {
		fmt.Fprintln(os.Stderr, "not the first process of a namespace:", os.Getpid(), err)
		os.Exit(3)
	}
}
