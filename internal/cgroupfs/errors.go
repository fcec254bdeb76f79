// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package cgroupfs

import "errors"

// Why a cgroup cannot take a worker: the causes of an [Error], for errors.Is.
// Each text says what to do. The errno in brackets is what clone3(2) or a
// write to cgroup.procs answers.
var (
	// ErrNotCgroup [EBADF]: the descriptor is no directory of a cgroup v2
	// hierarchy; a directory of cgroup v1 counts as none.
	ErrNotCgroup = errors.New("not a cgroup v2 directory: open a directory below the cgroup2 mount")
	// ErrRemoved [ENOENT, ENODEV]: the directory has been removed.
	ErrRemoved = errors.New("the cgroup was removed: create it again")
	// ErrNoDelegation [EACCES, EPERM, EROFS]: this process may not write to the
	// cgroup's cgroup.procs, or not to that of the nearest cgroup above both
	// the target and itself.
	ErrNoDelegation = errors.New("no permission to place a process there: it needs write access to cgroup.procs of this cgroup and of the nearest one above both it and the starter (systemd: Delegate=yes)")
	// ErrInnerNode [EBUSY]: controllers are on for its children, so that it may
	// hold no process itself.
	ErrInnerNode = errors.New("controllers are on for its children (cgroup.subtree_control), so it cannot hold processes: use a cgroup below it")
	// ErrFrozen: a start would block until somebody thaws it, so it is refused
	// before. The kernel has no errno for this.
	ErrFrozen = errors.New("the cgroup is frozen: thaw it first, a start would block until then")
	// ErrThreaded [EOPNOTSUPP]: it lies in a threaded subtree that cannot hold
	// processes (cgroup.type is "domain invalid").
	ErrThreaded = errors.New("the cgroup lies in a threaded subtree and cannot hold processes (cgroup.type): use one outside")
	// ErrFull [EAGAIN]: pids.max of the cgroup, or of one above it, is reached.
	ErrFull = errors.New("the cgroup is full: pids.max of it or of one above it is reached")
)

// Error says that a cgroup cannot take a worker, and why. errors.Is finds its
// Cause and its Err.
type Error struct {
	// Path is the cgroup's directory, as far as it is known: for a person.
	Path string
	// Cause is one of the sentinels of this package.
	Cause error
	// Err is what the kernel answered, or nil if it was not asked.
	Err error
}

// Error returns "cgroup PATH: CAUSE: KERNEL'S ANSWER".
func (e *Error) Error() string {
	s := "cgroup " + e.Path + ": " + e.Cause.Error()
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns the cause and the kernel's answer.
func (e *Error) Unwrap() []error {
	if e.Err == nil {
		return []error{e.Cause}
	}
	return []error{e.Cause, e.Err}
}
