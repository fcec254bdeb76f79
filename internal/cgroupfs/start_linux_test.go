// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package cgroupfs

import (
	"os/exec"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// needClone3 skips where a seccomp filter refuses the call that [startIn]
// starts with. Where it exists, it has something against having no arguments.
func needClone3(t *testing.T) {
	t.Helper()
	if _, _, errno := unix.RawSyscall(unix.SYS_CLONE3, 0, 0, 0); errno != unix.EINVAL {
		t.Skipf("clone3: %v", errno)
	}
}

// startIn starts a program in the cgroup by clone3.
func startIn(fd int, path string, args ...string) (*exec.Cmd, error) {
	c := exec.Command(path, args...)
	c.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: fd}
	return c, c.Start()
}
