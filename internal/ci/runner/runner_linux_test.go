// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-cb702d51/tfork-go/internal/ci/plan"
	"github.com/seed-cb702d51/tfork-go/internal/testutil"
)

func TestMain(m *testing.M) { testutil.Main(m, nil) }

// helperRunner is the command itself: it waits for any child, which the test
// process must not.
var helperRunner = testutil.Helper("runner", func(args []string) int {
	if err := realMain(append([]string{"runner"}, args...)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
})

// startRunner starts a runner that does the runs, each a shell command.
func startRunner(t *testing.T, scripts ...string) (*exec.Cmd, io.Reader) {
	t.Helper()
	p := plan.Plan{Settle: testutil.Scaled(time.Second)}
	for i, s := range scripts {
		p.Runs = append(p.Runs, plan.Run{
			ID: i, Suite: "test", User: plan.Self, Dir: "/", Argv: []string{"/bin/sh", "-c", s},
			Env: []string{"PATH=/usr/bin:/bin"}, Timeout: testutil.Scaled(2 * time.Second),
		})
	}
	b, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "plan.json")
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
	c := exec.Command(testutil.Exe(), path)
	c.Env = testutil.HelperEnv(helperRunner)
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	return c, out
}

// carryOut lets a runner do the runs, and returns all that it reports.
func carryOut(t *testing.T, scripts ...string) []plan.Record {
	t.Helper()
	c, out := startRunner(t, scripts...)
	var records []plan.Record
	plan.Lines(out, func(line []byte) {
		var r plan.Record
		if err := json.Unmarshal(line, &r); err != nil {
			t.Errorf("%q: %v", line, err)
		}
		records = append(records, r)
	})
	if err := c.Wait(); err != nil {
		t.Fatalf("runner: %v", err)
	}
	if len(records) < 2 || records[0].Kind != plan.Boot || records[len(records)-1].Kind != plan.Done {
		t.Fatalf("records do not go from boot to done: %v", records)
	}
	return records
}

// endOf finds the end of a run, and what it printed.
func endOf(t *testing.T, records []plan.Record, run int) (end plan.Record, out string) {
	t.Helper()
	for _, r := range records {
		switch {
		case r.Run != run:
		case r.Kind == plan.Out:
			out += r.Text
		case r.Kind == plan.End:
			return r, out
		}
	}
	t.Fatalf("run %d has no end in %v", run, records)
	return end, out
}

func TestRunner_ReportsEachRun(t *testing.T) {
	records := carryOut(t, "echo one; echo two >&2; cat", "exit 3", "kill -KILL $$")
	for i, want := range []struct{ status, out string }{
		{plan.OK, "one\ntwo\n"}, {"exit status 3", ""}, {"signal: killed", ""},
	} {
		end, out := endOf(t, records, i)
		if end.Status != want.status || out != want.out || end.TimedOut || len(end.Left) > 0 {
			t.Errorf("run %d: %+v and %q, want %+v", i, end, out, want)
		}
	}
}

func TestRunner_KillsWhatTakesTooLong(t *testing.T) {
	end, _ := endOf(t, carryOut(t, "exec sleep 1000"), 0)
	if !end.TimedOut || end.Status != "signal: killed" {
		t.Errorf("got %+v", end)
	}
}

// TestRunner_FindsOrphans leaves a process in a session of its own, with no
// parent and no pipe, and one that ends by itself in time.
func TestRunner_FindsOrphans(t *testing.T) {
	records := carryOut(t, "setsid sleep 1000 </dev/null >/dev/null 2>&1 &", "sleep 0.2 &")
	if end, _ := endOf(t, records, 0); len(end.Left) != 1 || !strings.Contains(end.Left[0], "sleep 1000") {
		t.Errorf("left behind: %q, want the sleep", end.Left)
	}
	if end, _ := endOf(t, records, 1); len(end.Left) != 0 || end.Status != plan.OK {
		t.Errorf("got %+v, want a clean end", end)
	}
}

// TestRunner_EndsWithAllBelowIt interrupts a runner in the middle of a run.
func TestRunner_EndsWithAllBelowIt(t *testing.T) {
	c, out := startRunner(t, "setsid sleep 1001 </dev/null >/dev/null 2>&1 & echo $!; exec sleep 1002")
	pid := 0
	plan.Lines(out, func(line []byte) {
		var r plan.Record
		if err := json.Unmarshal(line, &r); err != nil || r.Kind != plan.Out {
			return
		}
		fmt.Sscan(r.Text, &pid)
		c.Process.Signal(syscall.SIGTERM)
	})
	if err := c.Wait(); err == nil || err.Error() != "exit status 1" {
		t.Errorf("runner: %v, want exit status 1", err)
	}
	if pid == 0 || testutil.Alive(pid) {
		t.Errorf("process %d, in a session of its own, outlived the runner", pid)
	}
}

func TestParentIn(t *testing.T) {
	if got := parentIn("12 (a) b) (c) S 77 1 1 0"); got != 77 {
		t.Errorf("got %d, want 77", got)
	}
	if got := parentIn("rubbish"); got != 0 {
		t.Errorf("got %d for rubbish, want 0", got)
	}
}
