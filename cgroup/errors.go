// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package cgroup

import (
	"errors"

	"github.com/seed-cb702d51/tfork-go/internal/cgroupfs"
	"github.com/seed-cb702d51/tfork-go/internal/feature"
)

// ErrNotSupported says that this host has no usable cgroup v2 hierarchy, or
// that its kernel lacks a file that was asked for. It is the same value as in
// the other packages of this module, and such an error is errors.ErrUnsupported
// too. The text holds the reason.
var ErrNotSupported = feature.ErrNotSupported

// Error says that a cgroup cannot be used as asked, and why: errors.Is finds
// the cause (one of the values below) and the kernel's answer.
type Error = cgroupfs.Error

// Why a worker cannot be placed in a cgroup. These are the causes inside the
// errors of a start with tfork.Cmd.Cgroup too. Each text says what to do.
var (
	// ErrNotCgroup [EBADF]: no directory of a cgroup v2 hierarchy.
	ErrNotCgroup = cgroupfs.ErrNotCgroup
	// ErrRemoved [ENOENT, ENODEV]: the directory has been removed.
	ErrRemoved = cgroupfs.ErrRemoved
	// ErrNoDelegation [EACCES, EPERM, EROFS]: this process has no right there.
	ErrNoDelegation = cgroupfs.ErrNoDelegation
	// ErrInnerNode [EBUSY]: it has controllers on for its children.
	ErrInnerNode = cgroupfs.ErrInnerNode
	// ErrFrozen: a start would block until it is thawed.
	ErrFrozen = cgroupfs.ErrFrozen
	// ErrThreaded [EOPNOTSUPP]: it lies in a threaded subtree.
	ErrThreaded = cgroupfs.ErrThreaded
	// ErrFull [EAGAIN]: pids.max is reached.
	ErrFull = cgroupfs.ErrFull
)

// Why a group cannot be made, limited or removed.
var (
	// ErrNoController: a limit's controller is not available in the group that
	// was opened, so that it cannot be turned on below.
	ErrNoController = errors.New("controller not available")
	// ErrHasProcesses [EBUSY]: controllers cannot be turned on for the children
	// of a group that holds processes itself.
	ErrHasProcesses = errors.New("the group holds processes itself, so no controller can be turned on for its children: call EnterLeaf first")
	// ErrPopulated [EBUSY]: a group was not removed since there are still
	// processes in it, or below it.
	ErrPopulated = errors.New("processes are left in the group: kill them first")
	// ErrSelf: [Group.Kill] would have killed its caller.
	ErrSelf = errors.New("the calling process is in the group itself")
	// ErrName: a name for a new group that is no name of one directory.
	ErrName = errors.New("invalid name for a group")
)

// LimitError says which limit the kernel cannot take, or did not.
type LimitError struct {
	// Field is the field of [Limits].
	Field string
	// Value is its value, as text.
	Value string
	// Err says why.
	Err error
}

// Error returns "cgroup: limit FIELD=VALUE: WHY".
func (e *LimitError) Error() string {
	return "cgroup: limit " + e.Field + "=" + e.Value + ": " + e.Err.Error()
}

// Unwrap returns the reason.
func (e *LimitError) Unwrap() error { return e.Err }
