// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package cgroup

import (
	"context"
	"os"
	"strconv"
	"strings"

	"github.com/seed-cb702d51/tfork-go/internal/cgroupfs"
)

// Group is one cgroup: a directory of the v2 hierarchy, held by its
// descriptor. It is made by [Create], [Open] and [Delegated].
type Group struct {
	path  string // of the directory
	mount string // the mount point it lies below
	// top is the group that was opened: controllers are turned on from there
	// down to a new group's parent, and never above.
	top string
	dir *os.File
}

// Open opens an existing cgroup by the path of its directory, such as
// /sys/fs/cgroup/jobs. That group and what is below it is then this package's
// to use: controllers may be turned on there for new groups. Errors are an
// [*Error] ([ErrNotCgroup] for anything that is no cgroup v2 directory,
// [ErrNoDelegation]), [ErrNotSupported] without a v2 hierarchy, or fs.ErrNotExist.
func Open(path string) (*Group, error) { return open(path) }

// Create makes a new cgroup below parent, with limits from the start. A "*" in
// name is replaced by something unique, as in os.MkdirTemp. The controllers
// that the limits need are turned on in the group that was opened and on the
// way down to parent. On an error nothing is left behind.
//
// The new group is removed by [Group.Delete] alone. Errors: [*LimitError] (a
// value that the kernel cannot take), [ErrName] (more than one path element, a
// name that leads out of the parent), fs.ErrExist, [ErrNoController],
// [ErrHasProcesses], [ErrNoDelegation], [ErrRemoved]. Linux 4.5.
func Create(parent *Group, name string, limits Limits) (*Group, error) {
	if err := limits.Check(); err != nil {
		return nil, err
	}
	if err := checkName(name); err != nil {
		return nil, err
	}
	return parent.create(name, limits)
}

// checkName refuses what is not the name of one new directory, what may clash
// with the kernel's own files, and what breaks the lines of /proc/PID/cgroup.
func checkName(name string) error {
	why := ""
	switch {
	case name == "":
		why = "it is empty"
	case name == "." || name == ".." || strings.Contains(name, "/"):
		why = "it would lead out of the parent: want one path element"
	case strings.ContainsAny(name, "\x00\n"):
		why = "it holds a NUL or a newline"
	case len(name) > 240:
		why = "it is longer than 240 bytes"
	case strings.Count(name, "*") > 1:
		why = "it holds more than one *"
	case hasControllerPrefix(name):
		why = "it may clash with a file of the kernel's: begin it otherwise"
	}
	if why == "" {
		return nil
	}
	return &nameError{name, why}
}

// hasControllerPrefix tells whether the kernel has, or may get, a file of this
// name: "cgroup.x", "memory.x".
func hasControllerPrefix(name string) bool {
	prefix, _, dotted := strings.Cut(name, ".")
	switch prefix {
	case "cgroup", "cpu", "cpuset", "io", "memory", "hugetlb", "pids", "rdma", "misc", "irq", "dmem", "perf_event":
		return dotted
	}
	return false
}

// Path returns the directory's path.
func (g *Group) Path() string { return g.path }

// Dir lends the directory's descriptor, for tfork.Cmd.Cgroup. It stays the
// group's: do not close it, and do not use it after [Group.Close].
func (g *Group) Dir() *os.File { return g.dir }

// Close closes the group's descriptor. The cgroup itself stays. A second call
// is os.ErrClosed.
func (g *Group) Close() error { return g.dir.Close() }

// Set changes limits; zero fields stay as they are. A memory limit below what
// is in use makes the kernel reclaim and then kill. Errors as in [Create].
// The controllers must be on: those that Create was given limits for are.
func (g *Group) Set(limits Limits) error {
	if err := limits.Check(); err != nil {
		return err
	}
	return g.set(limits)
}

// Check tells whether a worker can be started in the group now: it exists, is
// writable and not frozen. The answer is an [*Error]. It does not block. What
// only the kernel knows ([ErrInnerNode], [ErrThreaded], [ErrFull]) comes from
// the start itself.
func (g *Group) Check() error { return g.with(cgroupfs.Check) }

// Kill sends SIGKILL to every process in the group and below it, those that
// are being forked included, and returns without waiting for their end. It
// collects no exit status, and works on frozen groups. The group itself stays
// usable. A removed group has nothing to kill: nil.
//
// It writes cgroup.kill (Linux 5.14). On older kernels it freezes the group and
// kills process by process until none is left, which it then does wait for, at
// most ten seconds. [ErrSelf] if the calling process is inside; where that cannot be
// told, for want of a descriptor say, nothing is killed, and the error says why.
// [ErrThreaded] for threaded groups.
func (g *Group) Kill() error { return g.kill() }

// Freeze stops all processes in the group and below, and returns when they
// have stopped, or with the context's error (the order to freeze stands then).
// A worker cannot be started in a frozen group. Linux 5.2, otherwise
// [ErrNotSupported]; [ErrSelf] if the calling process is inside (where that cannot
// be told, nothing is frozen); [ErrRemoved] if the group is gone, or goes meanwhile.
func (g *Group) Freeze(ctx context.Context) error { return g.freeze(ctx) }

// Thaw lets the processes go on. A group below a frozen one stays frozen. It
// does not wait.
func (g *Group) Thaw() error { return g.thaw() }

// Procs returns the processes in the group and below, by number, at this
// moment. Those outside of this process's pid namespace are 0.
func (g *Group) Procs() ([]int, error) { return g.procs() }

// Delete removes the group and all groups below it. It kills nothing: while
// processes are left it tries again until the context ends, then the error is
// [ErrPopulated] and the context's. After a [Group.Kill] the kernel needs a
// moment, so give it some seconds. A group that is gone already is nil. The
// descriptor stays open: [Group.Close].
func (g *Group) Delete(ctx context.Context) error { return g.delete(ctx) }

// EnterLeaf moves every process that is directly in the group, usually this
// very process, into a new group "tfork-leaf" below it. A cgroup with
// controllers on for its children must not hold processes itself; this makes
// room for [Create] with limits. The root of the hierarchy is exempt from that
// rule: nothing is done there.
//
// Moving takes a lock of the whole system for a moment; do it once, at the
// start. Waiters that this process started move along.
func (g *Group) EnterLeaf() error { return g.enterLeaf() }

// Delegated opens the cgroup that this process may use for groups of its own:
// the unit that systemd runs it in, if that has Delegate=yes; in a container
// its root, if that is writable; otherwise the cgroup that the process is in,
// if it may write there. It changes nothing. [ErrNoDelegation] says what to do
// where there is none; [ErrNotSupported] without a v2 hierarchy.
//
// The process is usually in that group itself: see [Group.EnterLeaf].
func Delegated() (*Group, error) { return delegated() }

// with lends the descriptor's number for a call.
func (g *Group) with(f func(fd int) error) error {
	c, err := g.dir.SyscallConn()
	if err != nil {
		return err
	}
	var ferr error
	if err := c.Control(func(fd uintptr) { ferr = f(int(fd)) }); err != nil {
		return &os.PathError{Op: "use cgroup", Path: g.path, Err: os.ErrClosed}
	}
	return ferr
}

// nameError is [ErrName] with the name and the reason.
type nameError struct{ name, why string }

func (e *nameError) Error() string { return "cgroup: name " + strconv.Quote(e.name) + ": " + e.why }

func (e *nameError) Is(target error) bool { return target == ErrName }
