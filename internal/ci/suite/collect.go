// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package suite

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"regexp"
	"strings"
	"time"

	"github.com/seed-cb702d51/tfork-go/internal/ci/plan"
)

// Verdict is what came of a run.
type Verdict string

// The verdicts.
const (
	Pass    Verdict = "pass"
	Failed  Verdict = "FAIL"
	Skipped Verdict = "skip" // every test of it
	NotRun  Verdict = "not run"
)

// Result is what came of one run.
type Result struct {
	Suite   string        `json:"suite"`
	User    string        `json:"user"`
	Profile string        `json:"profile,omitempty"`
	Verdict Verdict       `json:"verdict"`
	Status  string        `json:"status,omitempty"` // how the process ended
	Left    []string      `json:"left,omitempty"`   // processes that it left behind
	Took    time.Duration `json:"took_ns"`
	Counts  Counts        `json:"counts"`
	// ByStrategy counts the sub-tests that are named after a strategy.
	ByStrategy map[string]Counts `json:"by_strategy,omitempty"`
	Skips      []Named           `json:"skips,omitempty"`
	Failures   []Named           `json:"failures,omitempty"`
	// Answers are the probes', of a run that is no suite.
	Answers []plan.Answer `json:"-"`
	// Output is the end of what it printed, if it did not pass.
	Output string `json:"output,omitempty"`
}

// Counts are numbers of tests, sub-tests included.
type Counts struct {
	Pass int `json:"pass"`
	Fail int `json:"fail"`
	Skip int `json:"skip"`
}

// Named is something about one test: why it was skipped, how it failed.
type Named struct {
	Test string `json:"test"`
	Text string `json:"text"`
}

// Collector takes a runner's records and makes results of them.
type Collector struct {
	// Log gets everything as it comes: it is what a person looks at when
	// something hangs. At first it is io.Discard.
	Log      io.Writer
	runs     []plan.Run
	output   map[int]*bytes.Buffer
	ends     map[int]plan.Record
	Release  string // the kernel's, from the runner
	Finished bool   // the runner did all it had to do
	Trouble  string // why it could not go on
	Current  int    // the run under way, or -1
}

// NewCollector expects the records of these runs.
func NewCollector(runs []plan.Run) *Collector {
	return &Collector{Log: io.Discard, runs: runs, output: map[int]*bytes.Buffer{}, ends: map[int]plan.Record{}, Current: -1}
}

// Line takes one line of the runner's report. What is no record is ignored: a
// runner that dies prints its last words anywhere.
func (c *Collector) Line(line []byte) {
	var r plan.Record
	if json.Unmarshal(line, &r) != nil {
		return
	}
	switch r.Kind {
	case plan.Boot:
		c.Release = r.Text
	case plan.Start:
		c.Current = r.Run
		c.output[r.Run] = &bytes.Buffer{}
		fmt.Fprintf(c.Log, "\n== %s\n", c.Where())
	case plan.Out:
		if b := c.output[r.Run]; b != nil {
			b.WriteString(r.Text)
		}
		io.WriteString(c.Log, r.Text)
	case plan.End:
		c.ends[r.Run] = r
		c.Current = -1
		fmt.Fprintf(c.Log, "== %s in %v\n", r.Status, r.Took.Round(time.Millisecond))
	case plan.Done:
		c.Finished = true
	case plan.Fail:
		c.Trouble = r.Text
	}
}

// Next is the number of the first run that has not ended.
func (c *Collector) Next() int {
	for _, r := range c.runs {
		if _, ended := c.ends[r.ID]; !ended {
			return r.ID
		}
	}
	return len(c.runs)
}

// Where tells what was under way when the last record came.
func (c *Collector) Where() string {
	if c.Current < 0 {
		return "outside of any suite"
	}
	r := c.runs[c.Current]
	return strings.Join(strings.Fields(fmt.Sprintf("in %s as %s %s", r.Suite, r.User, r.Profile)), " ")
}

// Results returns a result for each run, in order, whether or not it ended.
func (c *Collector) Results() ([]Result, error) {
	var results []Result
	for _, run := range c.runs {
		r := Result{Suite: run.Suite, User: run.User, Profile: run.Profile, Verdict: NotRun}
		var raw []byte
		if b := c.output[run.ID]; b != nil {
			raw = b.Bytes()
		}
		if end, ok := c.ends[run.ID]; ok {
			if err := r.fill(end, raw); err != nil {
				return nil, err
			}
		}
		if r.Verdict == Failed || r.Verdict == NotRun {
			r.Output = tail(string(raw), 16<<10)
		}
		results = append(results, r)
	}
	return results, nil
}

// fill turns the output of a run that ended into its result.
func (r *Result) fill(end plan.Record, raw []byte) (err error) {
	var events []event
	if r.Suite == plan.Probes {
		r.Answers, err = parseAnswers(raw)
	} else {
		events, err = testEvents(raw)
	}
	r.judge(end, events)
	if err != nil && r.Verdict == Failed {
		return nil // what it printed tells more than that it is no JSON
	}
	return err
}

// event is one line of go tool test2json.
type event struct{ Action, Test, Output string }

// testEvents lets the go command's own tool read a test binary's output.
func testEvents(raw []byte) ([]event, error) {
	cmd := exec.Command("go", "tool", "test2json")
	cmd.Stdin = bytes.NewReader(raw)
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go tool test2json: %w", err)
	}
	var events []event
	for line := range bytes.Lines(out) {
		var e event
		if err := json.Unmarshal(line, &e); err != nil {
			return nil, fmt.Errorf("go tool test2json: %w", err)
		}
		events = append(events, e)
	}
	return events, nil
}

// judge fills in the result of a run that ended.
func (r *Result) judge(end plan.Record, events []event) {
	r.Status, r.Left, r.Took = end.Status, end.Left, end.Took
	if end.TimedOut {
		r.Status = "killed after its timeout"
	}
	text := map[string]string{}
	for _, e := range events {
		switch {
		case e.Test == "":
		case e.Action == "output":
			text[e.Test] += e.Output
		default:
			r.count(e, text[e.Test])
		}
	}
	switch {
	case end.Status != plan.OK || len(end.Left) > 0 || r.Counts.Fail > 0:
		r.Verdict = Failed
	case r.Counts.Pass == 0 && r.Answers == nil:
		r.Verdict = Skipped
	default:
		r.Verdict = Pass
	}
}

// count adds what became of one test, under its strategies too.
func (r *Result) count(e event, text string) {
	one := Counts{}
	switch e.Action {
	case "pass":
		one.Pass = 1
	case "fail":
		one.Fail = 1
		r.Failures = append(r.Failures, Named{e.Test, said(text)})
	case "skip":
		one.Skip = 1
		r.Skips = append(r.Skips, Named{e.Test, said(text)})
	default:
		return
	}
	r.Counts = r.Counts.plus(one)
	// A sub-test of a sub-test of a strategy counts for it as well.
	for part := range strings.SplitSeq(strings.ToLower(e.Test), "/") {
		if strategyName.MatchString(part) {
			if r.ByStrategy == nil {
				r.ByStrategy = map[string]Counts{}
			}
			r.ByStrategy[part] = r.ByStrategy[part].plus(one)
		}
	}
}

// strategyName is what a sub-test that runs under one strategy is called.
var strategyName = regexp.MustCompile(`^(auto|direct|waiter|dedicated|waiter[-_]dedicated)$`)

// plus returns the sums.
func (c Counts) plus(d Counts) Counts {
	return Counts{c.Pass + d.Pass, c.Fail + d.Fail, c.Skip + d.Skip}
}

// position is the "file_test.go:12: " that the testing package puts before a
// message.
var position = regexp.MustCompile(`^\S+\.go:\d+: `)

// said is what a test printed, without the testing package's own lines.
func said(text string) string {
	var lines []string
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "=== ") || strings.HasPrefix(line, "--- ") {
			continue
		}
		lines = append(lines, position.ReplaceAllString(line, ""))
	}
	return strings.Join(lines, "\n")
}

// tail returns the last n bytes of s, from a line's start.
func tail(s string, n int) string {
	if len(s) <= n {
		return s
	}
	_, rest, _ := strings.Cut(s[len(s)-n:], "\n")
	return "...\n" + rest
}
