// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package batch

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/seed-cb702d51/tfork-go/cmd/tforkdemo/internal/jobs"
	"github.com/seed-cb702d51/tfork-go/internal/testutil"
	"github.com/seed-cb702d51/tfork-go/tfork"
)

func TestMain(m *testing.M) {
	os.Setenv("GORACE", "atexit_sleep_ms=0")
	testutil.Main(m, tfork.Dispatch, tfork.CloseIdle)
}

// run runs the batch and returns its results by index.
func run(t *testing.T, b *Batch, signals <-chan os.Signal) ([]Result, os.Signal) {
	t.Helper()
	var results []Result
	b.Ended = func(r Result) { results = append(results, r) }
	b.Stops = func(s os.Signal) bool { return s == syscall.SIGTERM }
	if b.Make == nil {
		b.Make = func(args []string) *tfork.Cmd { return tfork.Command(args[0], args[1:]...) }
	}
	b.Grace = max(b.Grace, 10*time.Millisecond)
	stopped := b.Run(signals)
	slices.SortFunc(results, func(a, b Result) int { return a.Index - b.Index })
	for i, r := range results {
		if r.Index != i {
			t.Fatalf("result %d has index %d", i, r.Index)
		}
	}
	return results, stopped
}

func source(t *testing.T, text string) Source {
	t.Helper()
	s, err := ReadAll(jobs.NewReader("jobs", strings.NewReader(text)))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestBatch_TellsHowEachEnded(t *testing.T) {
	const text = "true\nsh -c 'exit 3'\nsh -c 'kill -9 $$'\nno-such-program\n'broken\n\ntrue"
	for _, tt := range []struct {
		name   string
		source Source
	}{
		{"read at once", source(t, text)},
		{"read as needed", Stream(jobs.NewReader("jobs", strings.NewReader(text)))},
	} {
		t.Run(tt.name, func(t *testing.T) {
			results, stopped := run(t, &Batch{Source: tt.source, Parallel: 2}, nil)
			var got []string
			for _, r := range results {
				got = append(got, fmt.Sprintf("%d %v %v", r.Line, r.Outcome, r.Err))
			}
			want := []string{
				"1 ok <nil>", "2 failed <nil>", "3 by signal <nil>",
				`4 not started exec: "no-such-program": executable file not found in $PATH`,
				"5 not started jobs:5:1: this quote is never closed",
				"7 ok <nil>",
			}
			if !slices.Equal(got, want) || stopped != nil {
				t.Errorf("stopped by %v, got\n%s\nwant\n%s", stopped, strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		})
	}
}

func TestBatch_RunsSoManyAtATime(t *testing.T) {
	const parallel, total = 3, 40
	var now, most atomic.Int32
	full := make(chan struct{})
	reached := sync.OnceFunc(func() { close(full) })
	b := &Batch{Source: Copies(total, []string{"true"}), Parallel: parallel}
	b.Make = func(args []string) *tfork.Cmd {
		n := now.Add(1)
		for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
		}
		if n == parallel {
			reached()
		}
		select {
		case <-full: // or a quick one could end before the third begins
		case <-time.After(30 * time.Second):
			t.Errorf("%d at a time after 30 s, want %d", n, parallel)
		}
		return tfork.Command(args[0])
	}
	var results int
	b.Ended = func(Result) { results++; now.Add(-1) }
	b.Run(nil)
	if results != total || most.Load() != parallel {
		t.Errorf("%d results, at most %d at a time; want %d and %d", results, most.Load(), total, parallel)
	}
}

func TestBatch_StopReportsTheRest(t *testing.T) {
	signals := make(chan os.Signal, 1)
	b := &Batch{Source: Copies(10, []string{"sleep", "600"}), Parallel: 2, Grace: 30 * time.Second}
	var started atomic.Int32
	b.Started = func(Command, *tfork.Process) {
		if started.Add(1) == 2 {
			signals <- syscall.SIGTERM
		}
	}
	results, stopped := run(t, b, signals)
	if len(results) != 10 || stopped != syscall.SIGTERM {
		t.Fatalf("%d results, stopped by %v", len(results), stopped)
	}
	for i, r := range results {
		if i < 2 && (r.Outcome != Signaled || r.Status.Signal() != syscall.SIGTERM) ||
			i >= 2 && (r.Outcome != NotStarted || !errors.Is(r.Err, ErrStopped)) {
			t.Errorf("result %d: %v %v %v", i, r.Outcome, r.Status, r.Err)
		}
	}
}

// deafJob does not end by SIGTERM.
var deafJob = []string{"sh", "-c", "trap '' TERM; echo deaf; while :; do :; done"}

// onOutput calls a function at the first output.
type onOutput func()

func (f onOutput) Write(b []byte) (int, error) {
	f()
	return len(b), nil
}

// whenDeaf makes the job, and calls deaf when it has set its trap.
func whenDeaf(deaf func()) func([]string) *tfork.Cmd {
	return func(args []string) *tfork.Cmd {
		cmd := tfork.Command(args[0], args[1:]...)
		cmd.Stdout = onOutput(deaf)
		return cmd
	}
}

func TestBatch_KillsAfterTheGrace(t *testing.T) {
	signals := make(chan os.Signal, 1)
	b := &Batch{Source: Copies(1, deafJob), Parallel: 1, Grace: 50 * time.Millisecond}
	b.Make = whenDeaf(func() { signals <- syscall.SIGTERM })
	results, _ := run(t, b, signals)
	if r := results[0]; r.Status.Signal() != syscall.SIGKILL || r.Took < b.Grace {
		t.Errorf("%v after %v, want SIGKILL after %v", r.Status, r.Took, b.Grace)
	}
}

func TestBatch_SecondStopKillsAtOnce(t *testing.T) {
	signals := make(chan os.Signal, 2)
	b := &Batch{Source: Copies(1, deafJob), Parallel: 1, Grace: time.Hour}
	b.Make = whenDeaf(func() { signals <- syscall.SIGTERM; signals <- syscall.SIGTERM })
	if results, _ := run(t, b, signals); results[0].Status.Signal() != syscall.SIGKILL {
		t.Errorf("got %v, want SIGKILL", results[0].Status)
	}
}

func TestBatch_PassesOtherSignalsOn(t *testing.T) {
	signals := make(chan os.Signal, 1)
	b := &Batch{Source: Copies(1, []string{"sleep", "600"}), Parallel: 1}
	b.Started = func(Command, *tfork.Process) { signals <- syscall.SIGUSR1 }
	results, stopped := run(t, b, signals)
	if results[0].Status.Signal() != syscall.SIGUSR1 || stopped != nil {
		t.Errorf("got %v, stopped by %v; want SIGUSR1 and no stop", results[0].Status, stopped)
	}
}

// TestBatch_StopDoesNotWaitForAStream: whoever writes the jobs may never end.
func TestBatch_StopDoesNotWaitForAStream(t *testing.T) {
	r, w := io.Pipe()
	defer w.Close()
	go io.WriteString(w, "sleep 600\nsleep 601\nsleep 602\n")
	signals := make(chan os.Signal, 1)
	b := &Batch{Source: Stream(jobs.NewReader("stdin", r)), Parallel: 1, Grace: 30 * time.Second}
	b.Started = func(Command, *tfork.Process) { signals <- syscall.SIGTERM }
	results, stopped := run(t, b, signals)
	if len(results) != 3 || stopped == nil || results[2].Outcome != NotStarted {
		t.Errorf("%d results, stopped by %v; want the 3 that were there", len(results), stopped)
	}
}

func TestStream_TellsTheReadersError(t *testing.T) {
	r, w := io.Pipe()
	go func() {
		io.WriteString(w, "true\n")
		w.CloseWithError(errors.New("disk on fire"))
	}()
	results, _ := run(t, &Batch{Source: Stream(jobs.NewReader("stdin", r)), Parallel: 1}, nil)
	if len(results) != 2 || results[1].Err == nil || results[1].Err.Error() != "reading the jobs: disk on fire" {
		t.Errorf("got %v", results)
	}
}
