// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package tfork

import (
	"strconv"
	"syscall"
	"time"
)

// Source tells how a status was collected.
type Source int

const (
	// SourceWait is waitid(2) by this process: with [Status.Rusage].
	SourceWait Source = iota + 1
	// SourceExitInfo is what the kernel keeps with the pidfd after somebody
	// else took the status (PIDFD_INFO_EXIT, Linux 6.15): without Rusage.
	SourceExitInfo
	// SourceWaiter is the waiter's report: with Rusage.
	SourceWaiter
)

// String returns "wait", "exit info" or "waiter".
func (s Source) String() string {
	switch s {
	case SourceWait:
		return "wait"
	case SourceExitInfo:
		return "exit info"
	case SourceWaiter:
		return "waiter"
	}
	return "unknown"
}

// Status is how a worker ended. It is a value: copies share nothing that
// changes. The zero Status says "exit status 0" and has no Source; a Status
// that came from a [Process] always has one.
//
// The termination methods mean what they mean in [syscall.WaitStatus].
type Status struct {
	wait   syscall.WaitStatus
	rusage *syscall.Rusage
	source Source
	cgroup cgroupUse
}

// cgroupUse is what the worker's own cgroup tells about it.
type cgroupUse struct {
	oomKilled bool
	peak      uint64 // bytes; 0: unknown
	cpu       time.Duration
	hasCPU    bool
}

// Exited tells whether the worker ended by exit(2).
func (s Status) Exited() bool { return s.wait.Exited() }

// ExitStatus returns the low eight bits given to exit(2), or -1 if the worker
// did not end that way.
func (s Status) ExitStatus() int { return s.wait.ExitStatus() }

// Signaled tells whether a signal ended the worker.
func (s Status) Signaled() bool { return s.wait.Signaled() }

// Signal returns the signal that ended the worker, or -1.
func (s Status) Signal() syscall.Signal { return s.wait.Signal() }

// CoreDump tells whether the kernel dumped core.
func (s Status) CoreDump() bool { return s.wait.CoreDump() }

// Success tells whether the worker ended by exit(0).
func (s Status) Success() bool { return s.wait.Exited() && s.wait.ExitStatus() == 0 }

// WaitStatus returns the raw value, as wait4(2) would have given it.
func (s Status) WaitStatus() syscall.WaitStatus { return s.wait }

// Rusage returns a copy of what the worker and its waited-for descendants
// used, as wait4(2) gives it, or nil where that is unknown: see [Source].
func (s Status) Rusage() *syscall.Rusage {
	if s.rusage == nil {
		return nil
	}
	ru := *s.rusage
	return &ru
}

// Source tells how the status was collected.
func (s Status) Source() Source { return s.source }

// OOMKilled tells whether the kernel's OOM killer ended the worker: it ended
// by SIGKILL, and the oom_kill counter of the cgroup that it was started in
// ([Cmd.Cgroup]) moved meanwhile. Without such a cgroup, or where it has no
// memory controller, it is false. The answer is about this worker only if it
// has the cgroup to itself.
func (s Status) OOMKilled() bool { return s.cgroup.oomKilled }

// PeakMemory returns the most memory, in bytes, that the worker's cgroup has
// ever held (memory.peak, Linux 5.19): the worker's own if the cgroup was made
// for it. ok is false where that is unknown.
func (s Status) PeakMemory() (bytes uint64, ok bool) { return s.cgroup.peak, s.cgroup.peak != 0 }

// CPUTime returns the processor time that was used until the worker's end: by
// its cgroup since that was made, with all descendants, also those that nobody
// waited for; without a cgroup user and system time of Rusage. ok is false
// where neither is known.
func (s Status) CPUTime() (d time.Duration, ok bool) {
	if s.cgroup.hasCPU {
		return s.cgroup.cpu, true
	}
	if s.rusage == nil {
		return 0, false
	}
	return rusageTime(s.rusage), true
}

// String returns the words of [os.ProcessState]: "exit status 3",
// "signal: killed", "signal: segmentation fault (core dumped)".
func (s Status) String() string {
	var text string
	switch {
	case s.wait.Exited():
		text = "exit status " + strconv.Itoa(s.wait.ExitStatus())
	case s.wait.Signaled():
		text = "signal: " + s.wait.Signal().String()
	case s.wait.Stopped():
		text = "stop signal: " + s.wait.StopSignal().String()
	case s.wait.Continued():
		text = "continued"
	}
	if s.wait.CoreDump() {
		text += " (core dumped)"
	}
	return text
}
