// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package batch

import (
	"errors"
	"time"

	"github.com/seed-cb702d51/tfork-go/tfork"
)

// Command is one thing to run.
type Command struct {
	// Args are the program and its arguments.
	Args []string
	// Line is where it was read, from 1; 0 if it was not read from a file.
	Line int
	// Err says why it cannot be run at all, such as a broken line; or nil.
	Err error
}

// ErrStopped is the error of a command that was not started because the batch
// was stopped before.
var ErrStopped = errors.New("stopped before it was started")

// Outcome sorts results.
type Outcome int

// What can become of a command.
const (
	OK         Outcome = iota // exit status 0
	Failed                    // any other exit status
	Signaled                  // a signal ended it
	Lost                      // it ended, nobody knows how
	NotStarted                // see Result.Err
	Outcomes                  // how many there are
)

var outcomeNames = [Outcomes]string{"ok", "failed", "by signal", "lost", "not started"}

// String returns the outcome's name for a person.
func (o Outcome) String() string { return outcomeNames[o] }

// Result is what became of one command.
type Result struct {
	Command
	// Index counts the commands from 0, in the order of the source.
	Index int
	// Outcome sorts the result; Err is set for Lost and NotStarted, and for
	// others if something went wrong beside them.
	Outcome Outcome
	Err     error
	// Pid and the rest hold if the command was started; Status also needs that
	// it is not lost.
	Pid      int
	Status   tfork.Status
	Strategy tfork.Strategy
	Guarded  bool
	// Placement is nowhere without a cgroup.
	Placement tfork.Placement
	// Took is the time from before the start to the known end.
	Took time.Duration
}

// Started tells whether there was a process.
func (r *Result) Started() bool { return r.Outcome != NotStarted }

// outcomeOf sorts a status.
func outcomeOf(st tfork.Status) Outcome {
	switch {
	case st.Success():
		return OK
	case st.Signaled():
		return Signaled
	}
	return Failed
}
