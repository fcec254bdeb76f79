// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package prefork

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/seed-cb702d51/tfork-go/prefork/internal/message"
	"github.com/seed-cb702d51/tfork-go/prefork/internal/names"
)

// Process is one row of the process table: what a process says about itself.
type Process struct {
	// Name is its name in the runtime directory, "prefork-worker-http-0". The
	// name of a process that does not hold its place (a replacement that is
	// not ready, a predecessor that is leaving) ends in "+" and a number.
	Name string `json:"name"`
	// Service is empty for the supervisor.
	Service string `json:"service"`
	// Role is "supervisor", "master" or "worker".
	Role string `json:"role"`
	// Instance is a worker's number, -1 for all others.
	Instance int `json:"instance"`
	// Pid is what the kernel says, also of a process that does not answer; 0 of
	// one that has not begun.
	Pid int `json:"pid"`
	// State is one of the States; all that follows is of a process that answers.
	State   string    `json:"state"`
	Started time.Time `json:"started"`
	// Strategy is how tfork started it: "direct" or "waiter".
	Strategy string `json:"strategy,omitempty"`
	// Requests counts those that the service counted.
	Requests int64 `json:"requests"`
	// Memory is the resident memory in bytes.
	Memory uint64 `json:"memory"`
	// After is how the one ended that had this place before, if nobody asked it
	// to: "signal 9 (out of memory)".
	After string `json:"after,omitempty"`
	// Children is a master's number of workers that are wanted.
	Children int `json:"children,omitempty"`
}

// answerTimeout is how long a process may take to answer.
const answerTimeout = 2 * time.Second

// Processes returns the table of all processes of the server that lives on the
// runtime directory: the supervisor, then by service the master and its
// workers. A process that does not answer within two seconds is in the table
// with State [StateSilent] and its pid; one that was only just started with
// [StateStarting] and no pid yet. An empty directory is an empty table;
// one that does not exist is os.ErrNotExist.
func Processes(runtimeDir string) ([]Process, error) {
	entries, err := names.List(runtimeDir, answerTimeout)
	if err != nil {
		return nil, err
	}
	table := make([]Process, 0, len(entries))
	for _, e := range entries {
		p := Process{State: StateSilent}
		if e.Row != nil {
			if err := json.Unmarshal(e.Row, &p); err != nil {
				return nil, fmt.Errorf("prefork: %s: %w", e.Name, err)
			}
		}
		p.Name, p.Pid = e.Name, e.Pid
		p.Role, p.Service, p.Instance, _ = names.Split(e.Name)
		table = append(table, p)
	}
	slices.SortFunc(table, func(a, b Process) int {
		return cmp.Or(cmp.Compare(a.Service, b.Service), cmp.Compare(rank[a.Role], rank[b.Role]),
			cmp.Compare(a.Instance, b.Instance), cmp.Compare(a.Name, b.Name))
	})
	unborn(table)
	return table, nil
}

// rank orders roles: each is started by the one before.
var rank = map[string]int{names.Supervisor: 0, names.Master: 1, names.Worker: 2}

// unborn finds those that have not begun: the kernel still tells the pid of
// the process that made their sockets. Who goes by that number and kills would
// hit the wrong one.
func unborn(table []Process) {
	holder := map[int]int{} // by pid: the highest rank that has it
	for _, p := range table {
		if r, seen := holder[p.Pid]; !seen || rank[p.Role] < r {
			holder[p.Pid] = rank[p.Role]
		}
	}
	for i := range table {
		if p := &table[i]; p.State == StateSilent && p.Pid != 0 && rank[p.Role] > holder[p.Pid] {
			p.Pid, p.State = 0, StateStarting
		}
	}
}

// Ping asks the process of that name whether it lives, and returns its pid.
// Errors: [ErrNoProcess], [ErrNoAnswer] (with the pid; that of the process which
// started it, if it has not begun).
func Ping(runtimeDir, name string) (pid int, err error) {
	_, pid, err = names.Ask(runtimeDir, name, message.Message{Kind: message.Ping}, answerTimeout)
	return pid, err
}

// RemoveRuntimeDir removes the runtime directory of a server that crashed: an
// ordinary end removes the names, and the directory if it was a temporary one.
// If a process of the server still lives the error is [ErrInUse]. A directory
// that no server has used is left alone, which is os.ErrNotExist, and so are
// files of others, which keep the directory.
func RemoveRuntimeDir(path string) error { return names.Remove(path) }

// Command is what a server can be told through its runtime directory.
type Command int

// The commands.
const (
	// CommandStop ends the server, as SIGTERM does.
	CommandStop Command = iota
	// CommandReload is SIGUSR2: the program and the configuration that are now
	// on disk, if they come up.
	CommandReload
	// CommandReopen is SIGHUP for every process.
	CommandReopen
)

// Tell gives a command to the server that lives on the runtime directory, and
// returns when it has begun to obey. The same user and root may.
func Tell(runtimeDir string, c Command) error {
	kinds := map[Command]message.Kind{CommandStop: message.Stop, CommandReload: message.Reload, CommandReopen: message.Reopen}
	kind, ok := kinds[c]
	if !ok {
		return fmt.Errorf("prefork: no command %d", c)
	}
	return tell(runtimeDir, names.Name(names.Supervisor, "", -1, 0), message.Message{Kind: kind})
}

// TellScale adds delta to the number of workers of one service.
func TellScale(runtimeDir, service string, delta int) error {
	return tell(runtimeDir, names.Name(names.Master, service, -1, 0), message.Text(message.Scale, strconv.Itoa(delta)))
}

// tell asks for something to be done. A refusal is an error in the words of who
// refused.
func tell(dir, name string, q message.Message) error {
	a, _, err := names.Ask(dir, name, q, answerTimeout)
	if err == nil && a.Kind != message.Done {
		err = errors.New("prefork: " + string(a.Body))
	}
	return err
}
