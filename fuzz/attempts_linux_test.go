// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package fuzz

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/seed-cb702d51/tfork-go/tfork"
)

// busyCommand is a command that needs a bit of everything.
func busyCommand(w way, large bool) (c command, out *bytes.Buffer) {
	args := []string{"-c", "cat; exit 7"}
	if large {
		args = append(args, many(4, 60_000)...) // travels in a memory file
	}
	c = w.make(nil, "/bin/sh", args...)
	out = new(bytes.Buffer)
	f := c.fields()
	*f.Stdin, *f.Stdout, *f.ExtraFiles = strings.NewReader("hello"), out, []*os.File{os.Stderr, nil}
	return c, out
}

// works runs a command, which must work.
func works(w way) error {
	c, out := busyCommand(w, true)
	err := c.Run()
	var ee *tfork.ExitError
	if !errors.As(err, &ee) || ee.ExitCode() != 7 || out.String() != "hello" {
		return fmt.Errorf("%s: Run = %w, output %q", w.name, err, out)
	}
	return nil
}

// attempt makes a start that may fail, and sees through one that does not.
func attempt(w way) (outcome string) { return attemptWith(w, nil) }

func attemptWith(w way, sys *syscall.SysProcAttr) (outcome string) {
	c, out := busyCommand(w, true)
	*c.fields().Sys = sys
	if err := c.Start(); err != nil {
		return "Start: " + err.Error()
	}
	err := c.Wait()
	return fmt.Sprintf("Wait: %v, output %q", err, out)
}

// attemptGroup and attemptSession are attempts with attributes, which are system
// calls of the worker before its execve: the latter with all that there are for
// who may have them.
func attemptGroup(w way) (outcome string) { return attemptWith(w, &syscall.SysProcAttr{Setpgid: true}) }

func attemptSession(w way) (outcome string) {
	sys := &syscall.SysProcAttr{Setsid: true}
	if mayBecomeAnother() {
		sys = another
	}
	return attemptWith(w, sys)
}

// another is what only root can ask for.
var another = &syscall.SysProcAttr{
	Setsid: true, Chroot: "/", Credential: &syscall.Credential{Uid: 65534, Gid: 65534}, AmbientCaps: []uintptr{unix.CAP_CHOWN},
}

// mayBecomeAnother asks without package os, which asks things once, and for good.
var mayBecomeAnother = sync.OnceValue(func() bool {
	pid, err := syscall.ForkExec("/bin/sh", []string{"sh", "-c", "exit 0"}, &syscall.ProcAttr{Sys: another})
	if err != nil {
		return false
	}
	var ws unix.WaitStatus
	unix.Wait4(pid, &ws, 0, nil)
	return ws == 0
})

// echoName is a worker function that does what busyCommand's program does, if it
// has been given all of its payload.
const echoName = "echo"

func echo(w *tfork.Worker) int {
	if !bytes.Equal(w.Payload, largePayload) {
		return 1
	}
	io.Copy(os.Stdout, os.Stdin)
	return 7
}

// largePayload is mapped, not copied, by the worker.
var largePayload = bytes.Repeat([]byte("tfork"), 100_000)

// attemptFunc is attempt with a worker function.
func attemptFunc(w way) (outcome string) {
	like := w.make(nil, "").(ourCmd)
	c, out := tfork.Func(echoName), new(bytes.Buffer)
	c.Strategy, c.Dedicated, c.Payload = like.Strategy, like.Dedicated, largePayload
	c.Stdin, c.Stdout, c.ExtraFiles = strings.NewReader("hello"), out, []*os.File{os.Stderr, nil}
	if err := c.Start(); err != nil {
		return "Start: " + err.Error()
	}
	err := c.Wait()
	return fmt.Sprintf("Wait: %v, output %q", err, out)
}
