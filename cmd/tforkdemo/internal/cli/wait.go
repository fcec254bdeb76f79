// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/seed-cb702d51/tfork-go/pidfd"
)

// waitCommand is "tforkdemo wait".
func (a *app) waitCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "wait PID...",
		Short: "Wait for any processes and tell their exit statuses",
		Long:  help("wait"),
		Example: `  tforkdemo wait 4711
  sleep 2 & tforkdemo wait $!
  tforkdemo wait --json $(pgrep make)`,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(_ *cobra.Command, args []string) error {
			pids, err := parsePids(args)
			if err != nil {
				return err
			}
			return exitWith(a.waitFor(pids, asJSON))
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON object per process on standard output")
	return cmd
}

// parsePids refuses what can be no process before any is waited for: 0 and
// negative numbers mean groups elsewhere, and we would wait for ourselves for
// ever.
func parsePids(args []string) ([]int, error) {
	if len(args) == 0 {
		return nil, errors.New("no PID: name at least one process")
	}
	pids := make([]int, len(args))
	for i, arg := range args {
		pid, err := strconv.ParseInt(arg, 10, 32)
		switch {
		case err != nil || pid < 1:
			return nil, fmt.Errorf("%q is not a process id", arg)
		case int(pid) == os.Getpid():
			return nil, fmt.Errorf("%d is tforkdemo itself", pid)
		}
		pids[i] = int(pid)
	}
	return pids, nil
}

// ending is what became of one process.
type ending struct {
	pid  int
	name string     // of its program, while it ran; perhaps empty
	exit pidfd.Exit // if err is nil
	err  error      // why nobody can know its exit status
	code int        // the exit code that stands for it
}

// waitFor waits for all pids at once, tells each ending as it comes, and returns
// the exit code. A signal ends the waiting and touches no process.
func (a *app) waitFor(pids []int, asJSON bool) int {
	signals := catch(stops)
	defer signals.stop()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ended := make(chan int, len(pids))
	endings := make([]ending, len(pids))
	for i, pid := range pids {
		go func() {
			endings[i] = waitOne(ctx, pid)
			ended <- i
		}()
	}
	// Each goroutine writes its own ending, which is read after it said so.
	var stopped os.Signal
	for range pids {
		select {
		case i := <-ended:
			a.printEnding(&endings[i], asJSON)
			continue
		case stopped = <-signals.c:
		}
		break
	}
	if stopped != nil {
		return signalCode(stopped)
	}
	for _, e := range endings {
		if e.code != exitOK {
			return e.code
		}
	}
	return exitOK
}

// waitOne waits for one process. Its number is looked up once: from then on the
// descriptor stands for that very process.
func waitOne(ctx context.Context, pid int) ending {
	e := ending{pid: pid, name: procField(strconv.Itoa(pid), "Name")}
	fd, err := pidfd.Open(pid)
	if err != nil {
		e.err, e.code = err, exitLost
		if errors.Is(err, os.ErrProcessDone) {
			e.err, e.code = errors.New("no such process"), exitNotFound
		}
		return e
	}
	defer fd.Close()
	e.exit, e.err = fd.Wait(ctx)
	if e.err != nil {
		e.code = exitLost
		return e
	}
	e.code = codeOf(e.exit.Status)
	return e
}

// endingJSON is one line of output. Either Error is set, or Status and one of
// ExitCode and Signal.
type endingJSON struct {
	Pid       int    `json:"pid"`
	Name      string `json:"name,omitempty"`
	ExitCode  *int   `json:"exit_code,omitempty"`
	Signal    int    `json:"signal,omitempty"`
	CoreDump  bool   `json:"core_dump,omitempty"`
	Status    string `json:"status,omitempty"`
	Collected string `json:"collected_by,omitempty"`
	Error     string `json:"error,omitempty"`
}

// printEnding writes one line. What nobody can know is no result: it goes to
// standard error.
func (a *app) printEnding(e *ending, asJSON bool) {
	switch {
	case asJSON:
		json.NewEncoder(a.stdout).Encode(e.json()) // nobody is left to be told of an error
	case e.err != nil:
		a.printf("%s: %v", e.label(), e.err)
	default:
		fmt.Fprintf(a.stdout, "%s: %s\n", e.label(), describe(e.exit.Status))
	}
}

// label names the process for a person.
func (e *ending) label() string {
	if e.name == "" {
		return strconv.Itoa(e.pid)
	}
	return fmt.Sprintf("%d (%s)", e.pid, e.name)
}

func (e *ending) json() endingJSON {
	out := endingJSON{Pid: e.pid, Name: e.name}
	if e.err != nil {
		out.Error = e.err.Error()
		return out
	}
	ws := e.exit.Status
	out.Status, out.CoreDump, out.Collected = describe(ws), ws.CoreDump(), e.exit.Source.String()
	if ws.Signaled() {
		out.Signal = int(ws.Signal())
	} else {
		code := ws.ExitStatus()
		out.ExitCode = &code
	}
	return out
}
