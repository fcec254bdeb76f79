// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package tfork

import "time"

// ProcessState is [os.ProcessState] for a worker: the same methods, which
// never block and may be called by many goroutines. (The standard library's
// own type cannot be filled in from outside it.)
type ProcessState struct {
	pid    int
	status Status
}

// Pid returns the worker's process id.
func (p *ProcessState) Pid() int { return p.pid }

// Status returns all that is known about the worker's end.
func (p *ProcessState) Status() Status { return p.status }

// Exited tells whether the worker ended by exit(2).
func (p *ProcessState) Exited() bool { return p.status.Exited() }

// Success tells whether the worker ended by exit(0).
func (p *ProcessState) Success() bool { return p.status.Success() }

// ExitCode returns the exit status, or -1 if a signal ended the worker or p is
// nil.
func (p *ProcessState) ExitCode() int {
	if p == nil {
		return -1
	}
	return p.status.ExitStatus()
}

// Sys returns the raw status, a [syscall.WaitStatus].
func (p *ProcessState) Sys() any { return p.status.WaitStatus() }

// SysUsage returns the worker's resource usage, a [*syscall.Rusage], or nil
// where it is unknown: see [Status.Rusage].
func (p *ProcessState) SysUsage() any {
	if ru := p.status.Rusage(); ru != nil {
		return ru
	}
	return nil
}

// UserTime returns the user CPU time of the worker and its waited-for
// descendants, or 0 where it is unknown.
func (p *ProcessState) UserTime() time.Duration {
	if p.status.rusage == nil {
		return 0
	}
	return userTime(p.status.rusage)
}

// SystemTime returns the system CPU time of the worker and its waited-for
// descendants, or 0 where it is unknown.
func (p *ProcessState) SystemTime() time.Duration {
	if p.status.rusage == nil {
		return 0
	}
	return systemTime(p.status.rusage)
}

// String returns [Status.String], or "<nil>".
func (p *ProcessState) String() string {
	if p == nil {
		return "<nil>"
	}
	return p.status.String()
}

// ExitError reports that a worker did not end with exit(0). It is
// [os/exec.ExitError] for a worker: use errors.As with *tfork.ExitError.
type ExitError struct {
	*ProcessState

	// Stderr holds the beginning and the end of the worker's standard error
	// if [Cmd.Output] ran it and nobody else collected that: at most 32 KiB of
	// each, with the number of omitted bytes between them.
	Stderr []byte
}

// Error returns [Status.String].
func (e *ExitError) Error() string { return e.ProcessState.String() }
