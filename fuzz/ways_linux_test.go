// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package fuzz

import (
	"context"
	"io"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/seed-cb702d51/tfork-go/tfork"
)

// command is what exec.Cmd and tfork.Cmd have in common.
type command interface {
	Start() error
	Wait() error
	Run() error
	Output() ([]byte, error)
	CombinedOutput() ([]byte, error)
	StdinPipe() (io.WriteCloser, error)
	StdoutPipe() (io.ReadCloser, error)
	StderrPipe() (io.ReadCloser, error)
	Environ() []string
	String() string

	fields() fields
	process() process // nil: not started
	state() state     // nil: none
}

// fields are the fields that a user of either may set.
type fields struct {
	Path       *string
	Args, Env  *[]string
	Dir        *string
	Stdin      *io.Reader
	Stdout     *io.Writer
	Stderr     *io.Writer
	ExtraFiles *[]*os.File
	Sys        **syscall.SysProcAttr
	Cancel     *func() error
	WaitDelay  *time.Duration
	Err        *error
}

// process is what os.Process and tfork.Process have in common.
type process interface {
	Signal(os.Signal) error
	Kill() error
	Release() error
}

// state is what os.ProcessState and tfork.ProcessState have in common.
type state interface {
	Pid() int
	Exited() bool
	Success() bool
	ExitCode() int
	Sys() any
	SysUsage() any
	UserTime() time.Duration
	SystemTime() time.Duration
	String() string
}

type stdCmd struct{ *exec.Cmd }

func (c stdCmd) fields() fields {
	return fields{
		&c.Path, &c.Args, &c.Env, &c.Dir, &c.Stdin, &c.Stdout, &c.Stderr,
		&c.ExtraFiles, &c.SysProcAttr, &c.Cancel, &c.WaitDelay, &c.Err,
	}
}

func (c stdCmd) process() process {
	if c.Process == nil {
		return nil
	}
	return c.Process
}

func (c stdCmd) state() state {
	if c.ProcessState == nil {
		return nil
	}
	return c.ProcessState
}

type ourCmd struct{ *tfork.Cmd }

func (c ourCmd) fields() fields {
	return fields{
		&c.Path, &c.Args, &c.Env, &c.Dir, &c.Stdin, &c.Stdout, &c.Stderr,
		&c.ExtraFiles, &c.SysProcAttr, &c.Cancel, &c.WaitDelay, &c.Err,
	}
}

func (c ourCmd) process() process {
	if c.Process == nil {
		return nil
	}
	return c.Process
}

func (c ourCmd) state() state {
	if c.ProcessState == nil {
		return nil
	}
	return c.ProcessState
}

// pidOf returns the worker's pid, 0 if there is none.
func pidOf(c command) int {
	switch c := c.(type) {
	case stdCmd:
		if c.Process != nil {
			return c.Process.Pid
		}
	case ourCmd:
		if c.Process != nil {
			return c.Process.Pid
		}
	}
	return 0
}

// way is a way to run a command.
type way struct {
	name string
	// make is exec.Command or exec.CommandContext; ctx may be nil.
	make func(ctx context.Context, name string, arg ...string) command
}

// standard is what all others are compared with.
var standard = way{"os/exec", func(ctx context.Context, name string, arg ...string) command {
	if ctx == nil {
		return stdCmd{exec.Command(name, arg...)}
	}
	return stdCmd{exec.CommandContext(ctx, name, arg...)}
}}

func ourWay(name string, strategy tfork.Strategy, dedicated bool) way {
	return way{name, func(ctx context.Context, name string, arg ...string) command {
		var c *tfork.Cmd
		if ctx == nil {
			c = tfork.Command(name, arg...)
		} else {
			c = tfork.CommandContext(ctx, name, arg...)
		}
		c.Strategy, c.Dedicated = strategy, dedicated
		return ourCmd{c}
	}}
}

var (
	direct    = ourWay("direct", tfork.Direct, false)
	shared    = ourWay("waiter", tfork.Waiter, false)
	dedicated = ourWay("waiter dedicated", tfork.Waiter, true)
)

// ourWays returns the strategies that can be had here.
func ourWays(t testing.TB) []way {
	report, err := tfork.Probe()
	if err != nil {
		t.Fatal(err)
	}
	if report.Waiter != nil {
		t.Logf("no waiter here: %v", report.Waiter)
		return []way{direct}
	}
	return []way{direct, shared, dedicated}
}

// plainly asks for a command that was not made with a context.
var plainly context.Context
