// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package sys

import (
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// siginfo is the part of siginfo_t that waitid fills in. unix.Siginfo has the
// right size but hides these fields.
type siginfo struct {
	signo, errno, code int32
	_                  [unsafe.Sizeof(uintptr(0))/4 - 1]int32 // padding on 64-bit systems
	pid                int32
	uid                uint32
	status             int32
	_                  [128 - 7*4]byte
}

// si_code values of SIGCHLD, from sigaction(2).
const (
	cldExited    = 1
	cldKilled    = 2
	cldDumped    = 3
	cldTrapped   = 4
	cldStopped   = 5
	cldContinued = 6
)

// Waited is what [WaitID] found.
type Waited struct {
	// Pid is 0 if nothing has changed yet (WNOHANG).
	Pid int
	// Status is the raw wait status, as wait4 would have given it.
	Status syscall.WaitStatus
	// Rusage is that of the process and its waited-for descendants.
	Rusage syscall.Rusage
}

// WaitID is waitid(2) with its fifth argument, repeated on EINTR. Errors are
// *os.SyscallError (ECHILD: no such child of ours).
func WaitID(idType, id, options int) (Waited, error) {
	var info siginfo
	var w Waited
	for {
		err := unix.Waitid(idType, id, (*unix.Siginfo)(unsafe.Pointer(&info)), options, (*unix.Rusage)(unsafe.Pointer(&w.Rusage)))
		if err == nil {
			break
		}
		if err != unix.EINTR {
			return Waited{}, os.NewSyscallError("waitid", err)
		}
	}
	w.Pid = int(info.pid)
	w.Status = info.waitStatus()
	return w, nil
}

// waitStatus rebuilds the raw status that wait4 returns.
func (s *siginfo) waitStatus() syscall.WaitStatus {
	switch s.code {
	case cldExited:
		return syscall.WaitStatus(s.status&0xff) << 8
	case cldKilled:
		return syscall.WaitStatus(s.status)
	case cldDumped:
		return syscall.WaitStatus(s.status) | 0x80
	case cldTrapped, cldStopped:
		return syscall.WaitStatus(s.status)<<8 | 0x7f
	case cldContinued:
		return 0xffff
	}
	return 0
}
