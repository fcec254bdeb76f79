// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package tfork

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// childFD is a descriptor for the worker: blocking, close-on-exec, and outside
// of the netpoller, which is two system calls less than an os.File.
type childFD int

// Close closes the descriptor.
func (fd childFD) Close() error { return unix.Close(int(fd)) }

// pipeUse says which end of a pipe the worker gets.
type pipeUse int

const (
	workerReads  pipeUse = 0
	workerWrites pipeUse = 1
)

// stdinPipeName is the writing end of a pipe, as os.Pipe names it.
const stdinPipeName = "|1"

// newPipe makes a pipe whose one end the worker gets; ours is non-blocking.
func newPipe(use pipeUse) (worker childFD, ours *os.File, err error) {
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
		return -1, nil, os.NewSyscallError("pipe2", err)
	}
	mine := p[1-use]
	if err := unix.SetNonblock(mine, true); err != nil {
		unix.Close(p[0])
		unix.Close(p[1])
		return -1, nil, os.NewSyscallError("fcntl", err)
	}
	name := "|0"
	if use == workerReads {
		name = stdinPipeName
	}
	ours = os.NewFile(uintptr(mine), name)
	if ours.SetDeadline(time.Time{}) != nil {
		// The netpoller did not take it (it may be full: epoll(7),
		// max_user_watches): copying blocks a thread then, as it does with
		// os/exec. Non-blocking it would end at the first EAGAIN.
		unix.SetNonblock(mine, false)
	}
	return childFD(p[use]), ours, nil
}

// openNull opens the null device for reading and writing.
func openNull() (childFD, error) {
	for {
		fd, err := unix.Open(os.DevNull, unix.O_RDWR|unix.O_CLOEXEC, 0)
		if err == nil {
			return childFD(fd), nil
		}
		if err != unix.EINTR {
			return -1, &os.PathError{Op: "open", Path: os.DevNull, Err: err}
		}
	}
}
