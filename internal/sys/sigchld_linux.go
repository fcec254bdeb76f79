// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package sys

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// saNoCldWait is SA_NOCLDWAIT of sigaction(2): children never become zombies.
	saNoCldWait = 2
	// sigIgn is SIG_IGN, a handler.
	sigIgn = 1
)

// sigaction is the kernel's struct sigaction on amd64, arm64 and every other
// system with the generic layout.
type sigaction struct {
	handler  uintptr
	flags    uintptr
	restorer uintptr
	mask     uint64
}

// SigchldIgnored tells whether the kernel reaps our children by itself:
// SIGCHLD is ignored, or has SA_NOCLDWAIT. It only reads the disposition.
func SigchldIgnored() bool {
	old, ok := disposition(unix.SIGCHLD)
	return ok && (old.handler == sigIgn || old.flags&saNoCldWait != 0)
}

// disposition reads what the process does with a signal.
func disposition(sig unix.Signal) (old sigaction, ok bool) {
	_, _, errno := unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(sig), 0, uintptr(unsafe.Pointer(&old)), 8, 0, 0)
	return old, errno == 0
}
