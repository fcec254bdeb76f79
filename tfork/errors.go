// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package tfork

import (
	"errors"
	"syscall"

	"github.com/seed-cb702d51/tfork-go/internal/feature"
)

// ErrNotSupported is what every refusal for a missing kernel feature is, for
// errors.Is; such an error is also [errors.ErrUnsupported] and its text names
// the feature, the first kernel that has it and what the system answered.
var ErrNotSupported = feature.ErrNotSupported

// ErrRunning says that the worker has not ended yet. It is also
// syscall.EAGAIN for errors.Is, as in the reference.
var ErrRunning error = runningError{}

type runningError struct{}

func (runningError) Error() string { return "tfork: worker is still running" }

// Is makes the error syscall.EAGAIN too.
func (runningError) Is(target error) bool { return target == syscall.EAGAIN }

// Errors that a program may test for. All are final: asking again gives the
// same answer.
var (
	// ErrLost says that the worker's status cannot be known any more: somebody
	// else took it where the kernel keeps no copy, or the waiter was killed. The
	// text says which. The worker has ended, except where its waiter was killed
	// and there are no pidfds (before Linux 5.3): there it may go on, and cannot
	// be reached any more. No status is ever made up.
	ErrLost = errors.New("tfork: exit status is lost")

	// ErrReleased says that the Process was given up by [Process.Release].
	ErrReleased = errors.New("tfork: process already released")

	// ErrEventFDTaken says that [Process.EventFD] was called before: the
	// event fd is given away once.
	ErrEventFDTaken = errors.New("tfork: event fd already given away")

	// ErrNoDispatch says that this program never called [Dispatch], without
	// which a re-executed copy would run main again instead of its role.
	ErrNoDispatch = errors.New("tfork: Dispatch was not called: make tfork.Dispatch() the first statement of main (and of TestMain)")

	// ErrNotRegistered says that no worker function has the name that was
	// given to [Func]. Register it before [Dispatch], in every process.
	ErrNotRegistered = errors.New("tfork: no worker function is registered under this name")
)
