// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package prefork

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/seed-cb702d51/tfork-go/prefork/internal/names"
	"github.com/seed-cb702d51/tfork-go/tfork"
)

// Errors that a program may test for.
var (
	// ErrInUse says that another server lives on the runtime directory, or that
	// processes of an earlier one are still leaving it.
	ErrInUse = names.ErrInUse
	// ErrNoProcess says that no process has the name that was asked for.
	ErrNoProcess = names.ErrNoName
	// ErrNoAnswer says that the process is there and did not answer in time.
	ErrNoAnswer = names.ErrNoAnswer
	// ErrNotSupported is tfork's: something that this system conclusively lacks.
	ErrNotSupported = tfork.ErrNotSupported
)

// The exit codes of masters and workers that mean something of their own.
const (
	// ExitDone ends a process for good: it is not restarted.
	ExitDone = 0
	// ExitRestart ends a process that wants a successor: after SIGTERM, and
	// after an error of a hook.
	ExitRestart = 127
	// exitFailed is a master that gives its service up.
	exitFailed = 126
)

// Exit is an error with which a hook chooses the exit code of its process.
type Exit struct {
	// Code is the exit code, 0 to 255; any other number is [ExitRestart].
	Code int
	// Err is logged; it may be nil.
	Err error
}

// Error returns the text of Err, or the code.
func (e *Exit) Error() string {
	if e.Err != nil {
		return e.Err.Error()
	}
	return fmt.Sprintf("exit code %d", e.Code)
}

// Unwrap returns Err.
func (e *Exit) Unwrap() error { return e.Err }

// exitCode is the code that an error of a hook stands for.
func exitCode(err error) int {
	if e := (*Exit)(nil); errors.As(err, &e) && 0 <= e.Code && e.Code <= 255 {
		return e.Code // the kernel would make 0 of 256: done, for good
	}
	if err == nil {
		return ExitDone
	}
	return ExitRestart
}

// FailedError is what [Server.Run] returns if services were given up: their
// restarts exceeded the limit, or a process ended with a fatal exit code.
type FailedError struct {
	// Reasons has the reason by service.
	Reasons map[string]string
}

// Error lists the services and their reasons.
func (e *FailedError) Error() string {
	var list []string
	for service, reason := range e.Reasons {
		list = append(list, service+" ("+reason+")")
	}
	slices.Sort(list)
	return "prefork: failed: " + strings.Join(list, ", ")
}
