// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"encoding/json"
	"io"
	"sync"
	"time"
)

// Plan is all that one runner does, in order.
type Plan struct {
	Runs []Run
	// Settle is how long what a run left behind may take to leave by itself.
	Settle time.Duration
	// Cgroup is set where the runner may prepare a cgroup of its own for the
	// ordinary user: the mount point of cgroup v2.
	Cgroup string `json:",omitempty"`
	// Sessions is set where the runner is the machine's first process, and gives
	// each run a session of its own: see process.start.
	Sessions bool `json:",omitempty"`
}

// Run is one execution of one test binary.
type Run struct {
	// ID is the run's number; records carry it.
	ID int
	// Suite names the package, from the module's root.
	Suite string
	// User is [Root] or [User].
	User string
	// Profile names the seccomp profile it runs under, if any.
	Profile string `json:",omitempty"`
	// Dir is the working directory, Argv the program and its arguments, Env
	// the whole environment; the runner adds TMPDIR and HOME.
	Dir  string
	Argv []string
	Env  []string
	// Timeout is when the runner kills it; the binary's own -test.timeout
	// should be earlier.
	Timeout time.Duration
}

// The users that a run may have.
const (
	Root = "root"
	User = "user" // nobody
	Self = "self" // whoever runs the runner
)

// Nobody is the uid and gid of [User].
const Nobody = 65534

// Kind tells what a record says.
type Kind string

// The kinds, in the order in which they come.
const (
	Boot  Kind = "boot"  // the runner is up: Text is the kernel's release
	Start Kind = "start" // a run begins
	Out   Kind = "out"   // Text is a piece of its output
	End   Kind = "end"   // a run is over
	Done  Kind = "done"  // every run is over
	Fail  Kind = "fail"  // the runner itself cannot go on: Text says why
)

// Record is one line from the runner.
type Record struct {
	Kind Kind
	Run  int    `json:",omitempty"`
	Text string `json:",omitempty"`
	// Of an [End]: how the process ended ("exit status 1", "signal: killed"),
	// whether it ran into its timeout, what it left running, and how long it
	// took.
	Status   string        `json:",omitempty"`
	TimedOut bool          `json:",omitempty"`
	Left     []string      `json:",omitempty"`
	Took     time.Duration `json:",omitempty"`
}

// OK is the Status of a process that ended with exit code 0.
const OK = "exit status 0"

// Writer sends records.
type Writer struct {
	mu sync.Mutex
	w  io.Writer
}

// NewWriter returns a Writer that writes to w, which it only borrows.
func NewWriter(w io.Writer) *Writer { return &Writer{w: w} }

// Send writes one record in one piece.
func (w *Writer) Send(r Record) error {
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	_, err = w.w.Write(append(b, '\n'))
	return err
}
