// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package services

import (
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// raise sends the process a signal with its default action restored: the Go
// runtime's handlers would turn many into exit status 2, or into nothing.
func raise(n int) error {
	// struct sigaction of the kernel, all zero: SIG_DFL, no flags, no mask.
	var action [4]uint64
	if n != int(unix.SIGKILL) && n != int(unix.SIGSTOP) {
		_, _, errno := unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(n), uintptr(unsafe.Pointer(&action)), 0, 8, 0, 0)
		if errno != 0 {
			return os.NewSyscallError("rt_sigaction", errno)
		}
	}
	return os.NewSyscallError("kill", unix.Kill(os.Getpid(), unix.Signal(n)))
}
