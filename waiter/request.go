// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package waiter

import (
	"errors"
	"syscall"
)

// ErrGone says that a waiter ended, or was killed, without telling how the
// worker ended. The worker itself may live on; nobody can know its status from
// the waiter any more.
var ErrGone = errors.New("the waiter is gone without telling how the worker ended")

// FieldError says which part of a [Request] cannot be had through a waiter.
// Nothing was started.
type FieldError struct {
	// Field is the name of the field in syscall.SysProcAttr or in Request.
	Field string
	// Reason says why, and what to do instead.
	Reason string
}

// Error returns "FIELD: REASON".
func (e *FieldError) Error() string { return e.Field + ": " + e.Reason }

// Closed in Request.Files leaves that descriptor closed in the worker.
const Closed = ^uintptr(0)

// Request says what to start. Its parts mean what they mean in
// syscall.StartProcess; the worker gets the caller's working directory, umask
// and ignored signals of the moment of Spawn.
type Request struct {
	// Path is the program, Args its whole argument list with argv[0], Env its
	// whole environment. They may be as large as execve(2) takes.
	Path      string
	Args, Env []string
	// Dir is the worker's working directory; empty means the caller's.
	Dir string
	// Files are lent for the call: Files[i] becomes descriptor i of the
	// worker, [Closed] leaves it closed. The worker has no others.
	Files []uintptr
	// Sys may be nil and is never modified, except that *Sys.PidFD is set as
	// syscall.StartProcess would. Pdeathsig is sent by the waiter when the
	// calling process (not a thread of it) ends.
	Sys *syscall.SysProcAttr
	// Dedicated asks for a waiter that serves this one worker and takes over
	// everything from the caller's state of this moment.
	Dedicated bool
}
