// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"errors"
	"io/fs"
	"os"
	"strconv"
	"syscall"

	"github.com/seed-cb702d51/tfork-go/cgroup"
	"github.com/seed-cb702d51/tfork-go/tfork"
)

// Exit codes of tforkdemo itself. Those of env(1) and of the shell are the
// same, where they have them.
const (
	exitOK = 0
	// exitFailed: what was asked for was done, and did not go well.
	exitFailed = 1
	// exitUsage: nothing was done, the command line or the jobs file is wrong.
	exitUsage = 2
	// exitLost: a command has ended and nobody can know how. env(1) and
	// timeout(1) use it for failures of their own.
	exitLost = 125
	// exitNotStarted: a command could not be started, whatever the reason.
	exitNotStarted = 126
	// exitNotFound: there is no such command, or no such process.
	exitNotFound = 127
	// exitSignal plus its number stands for a signal.
	exitSignal = 128
)

// exitCode is the error of a command that has said everything already.
type exitCode int

func (c exitCode) Error() string { return "exit code " + strconv.Itoa(int(c)) }

// exitWith turns a code into what a cobra command returns.
func exitWith(code int) error {
	if code == exitOK {
		return nil
	}
	return exitCode(code)
}

// codeOf is the exit code of a command that ended like this, as in the shell.
func codeOf(ws syscall.WaitStatus) int {
	if ws.Signaled() {
		return exitSignal + int(ws.Signal())
	}
	return ws.ExitStatus()
}

// signalCode is the exit code after a signal to tforkdemo itself.
func signalCode(sig os.Signal) int {
	if s, ok := sig.(syscall.Signal); ok {
		return exitSignal + int(s)
	}
	return exitFailed
}

// startCode is the exit code for an error of a start.
func startCode(err error) int {
	// That the directory is missing says nothing about the command.
	var dir *fs.PathError
	if errors.As(err, &dir) && dir.Op == "chdir" {
		return exitNotStarted
	}
	if errors.Is(err, tfork.ErrNotFound) || errors.Is(err, fs.ErrNotExist) {
		return exitNotFound
	}
	return exitNotStarted
}

// advice is what a person can do about an error of a start. The first that fits
// counts; what an error says for itself is not repeated.
var advice = []struct {
	is   error
	then string
}{
	{syscall.EMFILE, "too many files are open: raise 'ulimit -n', or run fewer at a time with -p"},
	{syscall.ETOOMANYREFS, "your processes are handing over more files than one may have open: raise 'ulimit -n', or run fewer at a time with -p"},
	{cgroup.ErrHasProcesses, "name another directory with --cgroup, or begin with: systemd-run --scope -p Delegate=yes"},
	{syscall.ENFILE, "the whole system has too many open files"},
	{syscall.EAGAIN, "too many processes: raise 'ulimit -u' or the cgroup's pids.max, or run fewer at a time with -p"},
	{syscall.ENOMEM, "memory is short: run fewer at a time with -p"},
	{syscall.ENOEXEC, "not a program, and it has no #! line: if it is a script, run it with its interpreter"},
	{syscall.E2BIG, "the arguments and the environment are too long"},
	{fs.ErrPermission, "you may not execute or enter it: look at its mode, and at those of its directories"},
	{tfork.ErrNotFound, "check its name, or give its path"},
	{tfork.ErrDot, "it is in the current directory: write ./ before it"},
}

// explain returns the text of an error of a start, with what to do about it.
// Errors about cgroups say that themselves.
func explain(err error) string {
	// (Except for one that its caller is told to cure by a call.)
	var group *cgroup.Error
	if errors.As(err, &group) && !errors.Is(err, cgroup.ErrHasProcesses) {
		return err.Error()
	}
	cause := err
	var start *fs.PathError
	if errors.As(err, &start) && start.Op == "fork/exec" && start.Err == syscall.EBADF {
		cause = syscall.EMFILE // dup3(2) says EBADF of a number beyond the limit
	}
	for _, a := range advice {
		if errors.Is(cause, a.is) {
			return err.Error() + " (" + a.then + ")"
		}
	}
	return err.Error()
}

// describe returns the words of os.ProcessState for a raw status.
func describe(ws syscall.WaitStatus) string {
	text := "exit status " + strconv.Itoa(ws.ExitStatus())
	if ws.Signaled() {
		text = "signal: " + ws.Signal().String()
	}
	if ws.CoreDump() {
		text += " (core dumped)"
	}
	return text
}
