// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package suite

import (
	"encoding/json"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-cb702d51/tfork-go/internal/ci/plan"
)

// needGo skips where the go command, which reads a test binary's output, is
// not at hand.
func needGo(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("the go command is not installed here")
	}
}

// feed gives a collector the records of one run.
func feed(t *testing.T, output string, end plan.Record) Result {
	t.Helper()
	c := NewCollector([]plan.Run{{ID: 0, Suite: "thing", User: plan.Root}})
	end.Kind = plan.End
	for _, r := range []plan.Record{{Kind: plan.Boot, Text: "6.1"}, {Kind: plan.Start}, {Kind: plan.Out, Text: output}, end, {Kind: plan.Done}} {
		b, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		c.Line(b)
	}
	results, err := c.Results()
	if err != nil || !c.Finished || c.Release != "6.1" {
		t.Fatalf("results: %v, finished %v, release %q", err, c.Finished, c.Release)
	}
	return results[0]
}

// said2json turns ^ into the mark that -test.v=test2json puts before its lines.
func said2json(s string) string { return strings.ReplaceAll(s, "^", "\x16") }

var verbose = said2json(`^=== RUN   TestA
^=== RUN   TestA/direct
^--- PASS: TestA/direct (0.00s)
^=== NAME  TestA
^=== RUN   TestA/Waiter
    a_test.go:3: no waiter here
^--- SKIP: TestA/Waiter (0.00s)
^=== NAME  TestA
^--- PASS: TestA (0.00s)
^=== NAME  
^PASS
`)

func TestCollector_Results(t *testing.T) {
	needGo(t)
	failing := said2json("^=== RUN   TestB\n    b_test.go:9: got 1\n        want 2\n^--- FAIL: TestB (0.00s)\n^=== NAME  \n^FAIL\n")
	allSkipped := said2json("^=== RUN   TestC\n    c_test.go:1: not here\n^--- SKIP: TestC (0.00s)\n^=== NAME  \n^PASS\n")
	tests := []struct {
		name, output string
		end          plan.Record
		want         Result
	}{
		{"passes", verbose, plan.Record{Status: plan.OK, Took: time.Second}, Result{
			Verdict: Pass, Counts: Counts{Pass: 2, Skip: 1}, Took: time.Second,
			ByStrategy: map[string]Counts{"direct": {Pass: 1}, "waiter": {Skip: 1}},
			Skips:      []Named{{"TestA/Waiter", "no waiter here"}},
		}},
		{"a test fails", failing, plan.Record{Status: "exit status 1"}, Result{
			Verdict: Failed, Counts: Counts{Fail: 1}, Failures: []Named{{"TestB", "got 1\nwant 2"}}, Output: failing,
		}},
		{"all skipped", allSkipped, plan.Record{Status: plan.OK}, Result{
			Verdict: Skipped, Counts: Counts{Skip: 1}, Skips: []Named{{"TestC", "not here"}},
		}},
		{"passes and leaves a process", verbose, plan.Record{Status: plan.OK, Left: []string{"7 sleep"}}, Result{
			Verdict: Failed, Counts: Counts{Pass: 2, Skip: 1}, Left: []string{"7 sleep"},
			ByStrategy: map[string]Counts{"direct": {Pass: 1}, "waiter": {Skip: 1}},
			Skips:      []Named{{"TestA/Waiter", "no waiter here"}}, Output: verbose,
		}},
		{"says nothing and dies", "", plan.Record{Status: "signal: killed", TimedOut: true}, Result{
			Verdict: Failed, Status: "killed after its timeout",
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.want.Suite, tt.want.User = "thing", plan.Root
			if tt.want.Status == "" {
				tt.want.Status = tt.end.Status
			}
			if diff := cmp.Diff(tt.want, feed(t, tt.output, tt.end)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestCollector_RunThatNeverEnded(t *testing.T) {
	c := NewCollector([]plan.Run{{ID: 0, Suite: "a", User: plan.User}, {ID: 1, Suite: "b"}})
	c.Line([]byte(`{"Kind":"start","Run":0}`))
	c.Line([]byte(`[  1.0] words of a dying kernel`))
	c.Line([]byte(`{"Kind":"out","Run":0,"Text":"half"}`))
	if got := c.Where(); got != "in a as user" || c.Next() != 0 {
		t.Errorf("where: %q, next %d", got, c.Next())
	}
	results, err := c.Results()
	if err != nil || results[0].Verdict != NotRun || results[0].Output != "half" || results[1].Verdict != NotRun {
		t.Errorf("%v, %+v", err, results)
	}
	if (Place{Results: results}).OK() {
		t.Error("a place where nothing ended counts as good")
	}
}

func TestReport_Write(t *testing.T) {
	good := Result{Suite: "tfork", User: "root", Verdict: Pass, Counts: Counts{Pass: 9, Skip: 1}, Skips: []Named{{"TestX", "too old"}}}
	bad := Result{
		Suite: "tfork", User: "root", Verdict: Failed, Status: "exit status 1", Counts: Counts{Pass: 8, Fail: 1},
		Failures: []Named{{"TestY", "got 1"}},
	}
	r := Report{Places: []Place{
		{Name: "6.1", Results: []Result{good}},
		{Name: "7.3", Results: []Result{bad}},
		{Name: "8.0", Missing: "not to be had"},
	}}
	var b strings.Builder
	r.Write(&b)
	const want = `suite  as    strategy  6.1          7.3          8.0
tfork  root            9 ok 1 skip  1 FAIL 8 ok  
             time      0s           0s           0s

8.0: skipped: not to be had

skipped: too old
    tfork TestX as root: 6.1

FAIL tfork on 7.3 as root: exit status 1
    --- TestY
        got 1
`
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if r.OK() {
		t.Error("a report with a failure is good")
	}
}

func TestReport_NothingProvedIsNotOK(t *testing.T) {
	passed := Result{Verdict: Pass, Counts: Counts{Pass: 1}}
	skipped := Result{Verdict: Skipped, Counts: Counts{Skip: 2}}
	probes := Result{Suite: plan.Probes, Verdict: Pass}
	missing := Place{Missing: "not to be had"}
	tests := []struct {
		name   string
		places []Place
		want   string
	}{
		{"no place", nil, "FAIL, 0 of 0 places in 0s; no place has that name"},
		{"no test", []Place{{Results: []Result{probes, {Verdict: Skipped}}}}, "FAIL, 1 of 1 places in 0s; not one test has passed"},
		{"all skipped", []Place{{Results: []Result{skipped}}, missing}, "FAIL, 1 of 2 places in 0s; not one test has passed; 1 NOT LOOKED AT, see above"},
		{"one passed", []Place{{Results: []Result{skipped}}, {Results: []Result{passed}}}, "ok, 2 of 2 places in 0s"},
		{"nothing to be had", []Place{missing}, "ok, 0 of 1 places in 0s; 1 NOT LOOKED AT, see above"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := Report{Places: tt.places}
			if got := r.Summary(); got != tt.want || r.OK() != strings.HasPrefix(tt.want, "ok") {
				t.Errorf("%v, %q, want %q", r.OK(), got, tt.want)
			}
		})
	}
}

func TestRuns_CombinesWhatMatters(t *testing.T) {
	s := &Stage{Suites: []string{"pidfd", "prefork"}}
	runs := s.Runs(Options{Dir: "/s", Users: []string{"root", "user"}, Slow: 20, Timeout: 10 * time.Second, Short: true, Run: "X"})
	var got []string
	for i, r := range runs {
		if r.ID != i {
			t.Errorf("run %d has number %d", i, r.ID)
		}
		got = append(got, r.Suite+" "+r.User)
	}
	want := []string{"probes root", "probes user", "pidfd root", "pidfd user", "prefork root", "prefork user"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	last := runs[len(runs)-1]
	if argv := strings.Join(last.Argv, " "); argv != "/s/prefork/suite.test -test.v=test2json -test.paniconexit0 -test.timeout=9s -test.short -test.run=X -test.parallel=8" {
		t.Errorf("argv: %s", argv)
	}
	if env := strings.Join(last.Env[1:], " "); env != "TFORK_TEST_SLOW=20" {
		t.Errorf("environment: %s", env)
	}
}
