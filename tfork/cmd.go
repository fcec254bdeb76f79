// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package tfork

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// Cmd is [os/exec.Cmd] with a status that cannot be lost: the same fields,
// methods, defaults and errors, and a few fields of its own. A program that
// uses os/exec works after changing the import and nothing else.
//
// A Cmd is used by one goroutine at a time and for one Start; its
// [Cmd.Process] may be used by many.
//
// Beyond os/exec: no thread is blocked while waiting; a Cmd that is dropped
// without Wait leaves no zombie. (Its context holds on to a Cmd until it is done:
// wait for what has one.) Differences: see docs/differences.md.
type Cmd struct {
	// Path is the program to run, the only field that must be set. If it is
	// relative, it is relative to Dir.
	Path string

	// Args holds the command line, the program's name first. If it is empty,
	// {Path} is used.
	Args []string

	// Env is the worker's environment as "key=value"; nil means that of this
	// process. Of duplicate keys the last one counts.
	Env []string

	// Dir is the worker's working directory; empty means that of this process.
	// If Env is nil, PWD is set to it.
	Dir string

	// Stdin is the worker's standard input: nil for the null device, an
	// [*os.File] to hand that on, anything else is copied to it by a goroutine
	// through a pipe. Wait returns after that has ended, see WaitDelay.
	Stdin io.Reader

	// Stdout and Stderr are the worker's outputs: nil for the null device, an
	// [*os.File] to hand that on, anything else is copied from a pipe by a
	// goroutine. If they are the same comparable value, at most one goroutine
	// at a time calls Write.
	Stdout io.Writer
	Stderr io.Writer

	// ExtraFiles become descriptors 3, 4, ... of the worker; a nil entry is
	// closed there. They stay the caller's.
	ExtraFiles []*os.File

	// SysProcAttr holds attributes of the system; it is not modified. A PidFD
	// in it receives a pidfd of the user's own.
	SysProcAttr *syscall.SysProcAttr

	// Process is the worker, once started.
	Process *Process

	// ProcessState is how the worker ended, after a successful Wait or Run.
	ProcessState *ProcessState

	// Err is the error of finding Path, if any; Start returns it.
	Err error

	// Cancel is called when the context of CommandContext is done, before the
	// worker was waited for. The default kills the worker. See
	// [os/exec.Cmd.Cancel], whose rules hold here.
	Cancel func() error

	// WaitDelay bounds the time between the context's or the worker's end and
	// that of the copying goroutines, after which the worker is killed and the
	// pipes are closed. Zero means no bound. See [os/exec.Cmd.WaitDelay], whose
	// rules hold here.
	WaitDelay time.Duration

	// Strategy says how the worker is started and collected. Auto, the zero
	// value, takes the best that this host offers.
	Strategy Strategy

	// Dedicated asks for a waiter of its own for this worker, which inherits
	// this process's state of this very moment and shares no fate with other
	// workers. It implies the strategy Waiter.
	Dedicated bool

	// Cgroup is the directory of a cgroup v2 group that the worker is born in
	// (CLONE_INTO_CGROUP, Linux 5.7), or where clone3 is refused joins before
	// its first own instruction (that needs [Dispatch]): see
	// [Process.Placement]. It stays the caller's, who may close it after
	// Start. It also lets Status tell whether the OOM killer ended the worker.
	Cgroup *os.File

	// CgroupMove allows, as the last resort, to move the worker into Cgroup
	// after its start. That is late: it may have forked, and memory it has
	// touched is charged elsewhere.
	CgroupMove bool

	// Title is the worker's argv[0], in place of Args[0]. A worker function
	// also gets its first 15 bytes as its comm, which is what ps and top show;
	// a program's comm is set by the kernel when it is executed.
	Title string

	// Payload reaches a worker function as [Worker.Payload]: whole, and not
	// through its arguments or environment. It may be changed after Start.
	Payload []byte

	ctx      context.Context
	function string // registered name, for a Cmd made by Func

	// childFDs are descriptors for the worker that Start or a Pipe method
	// opened. They are closed by Start.
	childFDs []io.Closer
	// pipes are our ends of pipes, closed by Wait or when WaitDelay is over.
	pipes []io.Closer
	// copies are the copying goroutines that Start will start.
	copies []func() error
	// copyErr receives the first error of the copying goroutines when all of
	// them have ended; nil once received.
	copyErr <-chan error
	watch   *ctxWatch
	// startCalled is set by the first Start, whatever its outcome. It is not
	// an atomic.Int32 so that a Cmd may be copied before its use.
	startCalled int32
}

// Command returns a Cmd for the named program and its arguments. If name has
// no path separator, it is looked up by [LookPath]; an error of that is
// returned by Start.
func Command(name string, arg ...string) *Cmd {
	cmd := &Cmd{
		Path: name,
		Args: append([]string{name}, arg...),
	}
	if filepath.Base(name) == name {
		path, err := LookPath(name)
		if path != "" {
			cmd.Path = path
		}
		cmd.Err = err
	}
	return cmd
}

// CommandContext is [Command] with a context: when ctx is done before the
// worker has been waited for, Cancel is called, which by default kills it. A
// nil ctx panics.
func CommandContext(ctx context.Context, name string, arg ...string) *Cmd {
	return Command(name, arg...).withContext(ctx)
}

func (c *Cmd) withContext(ctx context.Context) *Cmd {
	if ctx == nil {
		panic("nil Context")
	}
	c.ctx = ctx
	c.Cancel = func() error { return c.Process.Kill() }
	return c
}

// String describes c for a person: path and arguments, unquoted.
func (c *Cmd) String() string {
	if c.Err != nil || len(c.Args) == 0 {
		return strings.Join(c.argv(), " ")
	}
	return strings.Join(append([]string{c.Path}, c.Args[1:]...), " ")
}

// argv returns the worker's command line.
func (c *Cmd) argv() []string {
	args := c.Args
	if len(args) == 0 {
		args = []string{c.Path}
	}
	if c.Title != "" {
		args = append([]string{c.Title}, args[1:]...)
	}
	return args
}

// Run starts the worker and waits for it: [Cmd.Start] and [Cmd.Wait].
func (c *Cmd) Run() error {
	if err := c.Start(); err != nil {
		return err
	}
	return c.Wait()
}

// firstStart tells whether this is the first call of Start.
func (c *Cmd) firstStart() bool { return atomic.SwapInt32(&c.startCalled, 1) == 0 }
