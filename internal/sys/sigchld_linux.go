// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package sys

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// saNoCldWait is SA_NOCLDWAIT of sigaction(2): children never become zombies.
const saNoCldWait = 2

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
	const sigIgn = 1
	var old sigaction
	_, _, errno := unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(unix.SIGCHLD), 0, uintptr(unsafe.Pointer(&old)), 8, 0, 0)
	return errno == 0 && (old.handler == sigIgn || old.flags&saNoCldWait != 0)
}
