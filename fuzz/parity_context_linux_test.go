// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package fuzz

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-cb702d51/tfork-go/internal/testutil"
)

// grandchild leaves a process behind that holds all streams, until its
// descriptor 3 is at end of file. (A shell takes the input from what it puts
// into the background, hence the copy.)
const grandchild = "exec 4<&0; cat <&3 & "

// heldOpen gives the worker a descriptor 3 that is open until release.
func (r *trial) heldOpen(f fields) (release func()) {
	reader, writer := r.pipe()
	*f.ExtraFiles = []*os.File{reader}
	r.defers(func() { reader.Close() })
	return func() { writer.Close() }
}

// held runs a script whose grandchild keeps the streams open, with WaitDelay.
func held(ctx func() (context.Context, context.CancelFunc), s string, edit func(f fields)) func(*trial) {
	return func(r *trial) {
		c, cancel := ctx()
		defer cancel()
		cmd := r.command(c, "/bin/sh", "-c", s)
		release := r.heldOpen(cmd.fields())
		defer release()
		*cmd.fields().WaitDelay = 5 * time.Millisecond
		edit(cmd.fields())
		r.noteErr("Run", cmd.Run())
		r.noteState(cmd)
	}
}

func noContext() (context.Context, context.CancelFunc) { return nil, func() {} }

func withCancel() (context.Context, context.CancelFunc) {
	return context.WithCancel(context.Background())
}

// shortly is done soon after the start.
func shortly() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), 30*time.Millisecond)
}

func buffered(f fields) { *f.Stdout, *f.Stderr = new(bytes.Buffer), new(bytes.Buffer) }

func piped(f fields) { *f.Stdin, *f.Stdout = neverEnding{}, new(bytes.Buffer) }

// neverEnding is a standard input that goes on for ever.
type neverEnding struct{}

func (neverEnding) Read(p []byte) (int, error) { return len(p), nil }

// canceled runs the program that does nothing, ends its context, and kills it
// if cancel does not.
func canceled(cancel func(c command) error, delay time.Duration) func(*trial) {
	return func(r *trial) {
		ctx, stop := context.WithCancel(context.Background())
		defer stop()
		c := r.command(ctx, "./pause")
		called, calls := make(chan struct{}, 9), atomic.Int32{}
		*c.fields().Cancel = func() error {
			defer func() { called <- struct{}{} }()
			calls.Add(1)
			return cancel(c)
		}
		*c.fields().WaitDelay = delay
		r.noteErr("Start", c.Start())
		stop()
		<-called
		if delay == 0 {
			c.process().Kill()
		}
		r.noteErr("Wait", c.Wait())
		r.noteState(c)
		r.note("calls of Cancel", calls.Load())
	}
}

const aMoment = 10 * time.Millisecond

var contextScenarios = []scenario{
	{"background", func(r *trial) {
		r.noteErr("Run", r.command(context.Background(), "/bin/true").Run())
	}},
	{"done before", func(r *trial) {
		ctx, cancel := withCancel()
		cancel()
		c := r.command(ctx, "/bin/true")
		c.StdoutPipe()
		r.noteErr("Run", c.Run())
		r.noteState(c)
	}},
	{"done before, program missing", func(r *trial) {
		ctx, cancel := withCancel()
		cancel()
		r.noteErr("Run", r.command(ctx, "missing-program").Run())
		r.noteErr("Run", r.command(ctx, "./missing").Run())
	}},
	{"deadline passed", func(r *trial) {
		ctx, cancel := context.WithDeadline(context.Background(), time.Unix(1, 0))
		defer cancel()
		r.noteErr("Run", r.command(ctx, "/bin/true").Run())
	}},
	{"cause is not told", func(r *trial) {
		ctx, cancel := context.WithCancelCause(context.Background())
		c := r.command(ctx, "./pause")
		r.noteErr("Start", c.Start())
		cancel(errPlanted)
		r.noteErr("Wait", c.Wait())
	}},
	{"deadline kills", func(r *trial) {
		ctx, cancel := shortly()
		defer cancel()
		c := r.command(ctx, "./pause")
		r.noteErr("Run", c.Run())
		r.noteState(c)
	}},
	{"done after the end", func(r *trial) {
		ctx, cancel := withCancel()
		c := r.command(ctx, "/bin/true")
		r.noteErr("Run", c.Run())
		cancel()
		r.noteErr("Wait", c.Wait())
	}},
	{"Cancel kills", canceled(func(c command) error { return c.process().Kill() }, 0)},
	{"Cancel terminates", canceled(func(c command) error { return c.process().Signal(unix.SIGTERM) }, 10*time.Second)},
	{"Cancel fails", canceled(func(command) error { return errPlanted }, 0)},
	{"Cancel fails, WaitDelay kills", canceled(func(command) error { return errPlanted }, aMoment)},
	{"Cancel does nothing, WaitDelay kills", canceled(func(command) error { return nil }, aMoment)},
	{"Cancel says done", canceled(func(command) error { return os.ErrProcessDone }, 0)},
	{"Cancel says done in other words", canceled(func(command) error { return fmt.Errorf("it is %w", os.ErrProcessDone) }, aMoment)},
	{"Cancel and exit 0", func(r *trial) {
		ctx, cancel := withCancel()
		c := r.command(ctx, "/bin/cat")
		in, _ := c.StdinPipe()
		*c.fields().Cancel = in.Close
		r.noteErr("Start", c.Start())
		cancel()
		r.noteErr("Wait", c.Wait())
		r.noteState(c)
	}},
	{"Cancel and exit 0, error of a writer", func(r *trial) {
		ctx, cancel := withCancel()
		c := r.command(ctx, "/bin/cat")
		in, _ := c.StdinPipe()
		*c.fields().Stdout = &brokenWriter{0}
		*c.fields().Cancel = in.Close
		r.noteErr("Start", c.Start())
		io.WriteString(in, "x")
		cancel()
		r.noteErr("Wait", c.Wait())
	}},
	{"Cancel nil", func(r *trial) {
		ctx, cancel := withCancel()
		c := r.command(ctx, "./pause")
		*c.fields().Cancel = nil
		r.noteErr("Start", c.Start())
		cancel()
		r.noteErr("Kill", c.process().Kill())
		r.noteErr("Wait", c.Wait())
	}},
	{"Cancel nil with WaitDelay", func(r *trial) {
		ctx, cancel := withCancel()
		c := r.command(ctx, "./pause")
		*c.fields().Cancel, *c.fields().WaitDelay = nil, aMoment
		r.noteErr("Start", c.Start())
		cancel()
		r.noteErr("Wait", c.Wait())
	}},
	{"Cancel without context", func(r *trial) {
		c := r.command(plainly, "/bin/true")
		*c.fields().Cancel = func() error { return nil }
		r.noteErr("Run", c.Run())
	}},
	{"WaitDelay not needed", func(r *trial) {
		c := r.command(plainly, "/bin/sh", "-c", "head -c 100000 /dev/zero")
		var b bytes.Buffer
		*c.fields().Stdout, *c.fields().WaitDelay = &b, time.Minute
		r.noteErr("Run", c.Run())
		r.note("output", content(b.Bytes()))
	}},
	{"grandchild holds outputs", held(noContext, grandchild+"exit 0", buffered)},
	{"grandchild holds outputs, exit 3", held(noContext, grandchild+"exit 3", buffered)},
	{"grandchild holds outputs, context unused", held(withCancel, grandchild+"exit 0", buffered)},
	{"grandchild holds outputs, context ends", held(shortly, grandchild+"cat <&3", buffered)},
	{"grandchild holds input and output", held(noContext, grandchild+"exit 0", piped)},
	{"grandchild holds files only", held(noContext, grandchild+"exit 0", func(fields) {})},
	{"grandchild, Cancel nil, context ends", held(shortly, grandchild+"cat <&3", both(buffered, func(f fields) { *f.Cancel = nil }))},
	{"grandchild, Cancel fails, context ends", held(shortly, grandchild+"cat <&3", both(buffered, func(f fields) {
		*f.Cancel = func() error { return errPlanted }
	}))},
	{"stdin never ends, WaitDelay", func(r *trial) {
		c := r.command(plainly, "/bin/true")
		reader, _ := r.pipe()
		*c.fields().Stdin, *c.fields().WaitDelay = struct{ io.Reader }{reader}, aMoment
		r.defers(func() { reader.Close() })
		done := make(chan struct{})
		r.noteErr("Start", c.Start())
		// The copy is in Read of a reader that WaitDelay cannot close: nothing
		// but its end helps, as in os/exec. That must come after WaitDelay, which
		// begins when Wait has collected the worker.
		go func() {
			defer close(done)
			testutil.PollFor(patience, func() bool { return !testutil.Exists(pidOf(c)) })
			time.Sleep(50 * aMoment)
			reader.SetDeadline(time.Unix(1, 0))
		}()
		r.noteErr("Wait", c.Wait())
		<-done
	}},
}
