// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package pidfd

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/seed-cb702d51/tfork-go/internal/feature"
)

// ErrNotSupported is what every error is, for errors.Is, that says that this
// system lacks a feature. Such errors are also [errors.ErrUnsupported], and
// name the feature and the first kernel that has it.
var ErrNotSupported = feature.ErrNotSupported

// ErrRunning says that there is no status yet: the process runs, or it has
// ended but waits for somebody else to reap it. It is also syscall.EAGAIN.
var ErrRunning error = running{}

type running struct{}

func (running) Error() string { return "pidfd: process is still running" }

func (running) Is(target error) bool { return target == syscall.EAGAIN }

// ErrStatusUnknown says that the process has ended and that nobody can tell
// how: somebody else reaped it and the kernel keeps no exit information (then
// the error is [ErrNotSupported] as well), or it lives in a pid namespace that
// is not ours or below. It is final.
var ErrStatusUnknown = errors.New("pidfd: process has ended, its exit status cannot be known")

// FD is one process descriptor. Make it with [Open] or [New].
//
// Many goroutines may use one FD at once. What was found out about the
// process's end is remembered: every later call answers from memory, after
// [FD.Close] too.
type FD struct {
	file *os.File        // owns the descriptor; its own methods are never used for I/O
	raw  syscall.RawConn // file's; kept because asking for it allocates
	sys  *kernel
	poll bool // the network poller takes the descriptor

	turn chan struct{} // held by the one goroutine that waits in the poller

	mu    sync.Mutex // guards what follows, and makes collecting one step
	ended bool
	exit  Exit
	err   error // nil or ErrStatusUnknown with its reason
}

// Open returns a descriptor for the running process pid, which need not be
// ours. A child that has ended but was not reaped counts as running; no such
// process is [os.ErrProcessDone].
//
// The number is looked up once: if pid may have been reused already, the
// answer is about the new process. Only a descriptor made at birth (see [New])
// is free of that doubt. The caller owns the result and must Close it.
//
// Needs Linux 5.3 (pidfd_open(2)); any user may open any process.
func Open(pid int) (*FD, error) { return open(pid) }

// New takes over fd, a process descriptor from clone (syscall.SysProcAttr.PidFD)
// or from another process (SCM_RIGHTS): it always owns it from here on, and
// closes it if it returns an error. It makes the descriptor close-on-exec and
// its open file description non-blocking.
//
// Non-blocking is shared by every duplicate: an [os.Process] that uses the same
// description cannot Wait any more. Give New a description of its own.
//
// A descriptor of something else than a process is an error. Needs Linux 5.4
// (waitid(2) with P_PIDFD), and is [ErrNotSupported] where that is missing.
func New(fd int) (*FD, error) { return adopt(fd) }

// newFD wraps a descriptor that is non-blocking already, and owns it.
func newFD(fd int, sys *kernel) *FD {
	f := &FD{file: os.NewFile(uintptr(fd), "pidfd"), sys: sys, turn: make(chan struct{}, 1)}
	f.raw, _ = f.file.SyscallConn() // fails for a nil file only
	// A file that the poller did not take has no deadlines.
	f.poll = f.file.SetReadDeadline(time.Time{}) == nil
	return f
}

// Close frees the descriptor, wakes every waiter with [os.ErrClosed], and
// waits for functions that run in [FD.With] (so it must not be called from one
// of them). It changes nothing for the process: an unreaped child stays one.
//
// A second Close is [os.ErrClosed]. Calls after Close are too, except that an
// end that was found out before is still told.
func (f *FD) Close() error { return f.file.Close() }

// With lends the descriptor's number to fn and returns fn's error. Until fn
// returns the number stays valid: a [FD.Close] that comes meanwhile waits for
// fn. fn must not close the number, keep it, or call Close itself.
//
// After Close it is [os.ErrClosed], and fn is not called. Other calls may go on
// while fn runs.
func (f *FD) With(fn func(fd int) error) error {
	var err error
	if f.raw.Control(func(fd uintptr) { err = fn(int(fd)) }) != nil {
		return errClosed
	}
	return err
}

// errClosed is what a call on a closed FD gets. The standard library's own
// error for it has no identity outside its internal/poll.
var errClosed = fmt.Errorf("pidfd: %w", os.ErrClosed)

// Signal sends sig to the process, and to no other that got its pid since. A
// process that has been reaped is [os.ErrProcessDone]; one that has ended and
// was not reaped takes signals without effect. Signal 0 only checks.
//
// It does not block. Failures are *os.SyscallError (EPERM: not allowed).
// Needs Linux 5.1 (pidfd_send_signal(2)).
func (f *FD) Signal(sig syscall.Signal) error {
	if _, _, ended := f.known(); ended {
		return os.ErrProcessDone
	}
	return f.With(func(fd int) error { return sendSignal(fd, sig) })
}

// GetFD returns a duplicate of descriptor number target of the process, as if
// it had been sent over a socket: the open file description is shared, the
// duplicate is close-on-exec, and the caller owns it.
//
// No such descriptor is EBADF, in an *os.SyscallError; a reaped process is
// [os.ErrProcessDone]. The caller must be allowed to trace the process
// (ptrace(2), PTRACE_MODE_ATTACH_REALCREDS), else EPERM. Needs Linux 5.6
// (pidfd_getfd(2)).
func (f *FD) GetFD(target int) (*os.File, error) {
	var got *os.File
	err := f.With(func(fd int) error {
		n, err := getFD(fd, target)
		if err == nil {
			got = os.NewFile(uintptr(n), fmt.Sprintf("fd %d of another process", target))
		}
		return err
	})
	return got, err
}
