// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package suite

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/seed-cb702d51/tfork-go/internal/ci/plan"
)

// Place is a kernel or a sandbox, with what the suites did there.
type Place struct {
	Name    string `json:"name"`
	Release string `json:"release,omitempty"`
	// Missing says why nothing could be run there; that is a skip. Trouble says
	// why it could not be finished; that is a failure.
	Missing string        `json:"missing,omitempty"`
	Trouble string        `json:"trouble,omitempty"`
	Notes   []string      `json:"notes,omitempty"` // retries, differences
	Took    time.Duration `json:"took_ns"`
	Results []Result      `json:"results,omitempty"`
	// Answers are what the probes say there; Differences are where that is not
	// what the documents say, which is a failure.
	Answers     []plan.Answer `json:"answers,omitempty"`
	Differences []string      `json:"differences,omitempty"`
}

// OK tells whether nothing there failed.
func (p Place) OK() bool {
	return p.Trouble == "" && len(p.Differences) == 0 && !slices.ContainsFunc(p.Results, func(r Result) bool {
		return r.Verdict == Failed || r.Verdict == NotRun
	})
}

// Report is what a whole run of the proof found.
type Report struct {
	Places []Place       `json:"places"`
	Took   time.Duration `json:"took_ns"`
}

// OK tells whether nothing failed anywhere, and something was proved by that.
func (r Report) OK() bool {
	return r.empty() == "" && !slices.ContainsFunc(r.Places, func(p Place) bool { return !p.OK() })
}

// empty says why the report proves nothing, although nothing need have failed:
// a name in a flag was mistyped, most likely. Places that cannot be had do not
// count: the last line says how many they are.
func (r Report) empty() string {
	if len(r.Places) == 0 {
		return "no place has that name"
	}
	looked := false
	for _, p := range r.Places {
		looked = looked || p.Missing == ""
		if slices.ContainsFunc(p.Results, func(r Result) bool { return r.Counts.Pass > 0 }) {
			return ""
		}
	}
	if looked {
		return "not one test has passed"
	}
	return ""
}

// Summary is one line: whether all is well, and how much of it was looked at.
func (r Report) Summary() string {
	word, missing := "ok", 0
	if !r.OK() {
		word = "FAIL"
	}
	for _, p := range r.Places {
		if p.Missing != "" {
			missing++
		}
	}
	text := fmt.Sprintf("%s, %d of %d places in %v", word, len(r.Places)-missing, len(r.Places), r.Took.Round(time.Second))
	if why := r.empty(); why != "" {
		text += "; " + why
	}
	if missing > 0 {
		text += fmt.Sprintf("; %d NOT LOOKED AT, see above", missing)
	}
	return text
}

// WriteJSON writes the report to a file.
func (r Report) WriteJSON(path string) error {
	b, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(b, '\n'), 0o644)
}

// Write prints the table, then why something was skipped, then what failed.
func (r Report) Write(w io.Writer) {
	r.writeTable(w)
	r.writeAnswers(w)
	r.writeSkips(w)
	for _, p := range r.Places {
		p.writeTrouble(w)
	}
}

// row is a line of the table: one suite run in one way, everywhere.
type row struct{ suite, user, strategy string }

// String is also the order of the rows.
func (r row) String() string { return r.suite + "\t" + r.user + "\t" + r.strategy }

// writeTable prints a line for each suite and user and a column for each
// place; lines below it count the sub-tests of each strategy.
func (r Report) writeTable(w io.Writer) {
	cells := map[row]map[int]string{}
	var rows []row
	set := func(k row, place int, text string) {
		if cells[k] == nil {
			cells[k] = map[int]string{}
			rows = append(rows, k)
		}
		cells[k][place] = text
	}
	for i, p := range r.Places {
		for _, res := range p.Results {
			set(row{res.Suite, res.User, ""}, i, res.cell())
		}
	}
	// The strategies' lines come below the one that they are part of.
	for i, p := range r.Places {
		for _, res := range p.Results {
			for name, c := range res.ByStrategy {
				set(row{res.Suite, res.User, ":" + name}, i, c.String())
			}
		}
	}
	// Same suites together, whichever place had them first.
	slices.SortStableFunc(rows, func(a, b row) int { return strings.Compare(a.String(), b.String()) })
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	defer tw.Flush()
	fmt.Fprint(tw, "suite\tas\tstrategy")
	for _, p := range r.Places {
		fmt.Fprint(tw, "\t", p.Name)
	}
	for _, k := range rows {
		fmt.Fprint(tw, "\n", k)
		for i := range r.Places {
			fmt.Fprint(tw, "\t", cells[k][i])
		}
	}
	fmt.Fprint(tw, "\n\t\ttime")
	for _, p := range r.Places {
		fmt.Fprint(tw, "\t", p.Took.Round(100*time.Millisecond))
	}
	fmt.Fprintln(tw)
}

// cell is the text of one place in the table.
func (r Result) cell() string {
	switch r.Verdict {
	case Pass, Failed:
		text := r.Counts.String()
		if r.Suite == plan.Probes {
			text = "answered"
		}
		if r.Verdict == Failed && r.Counts.Fail == 0 {
			text = "FAIL " + text
		}
		if r.Took >= time.Second {
			text += ", " + r.Took.Round(time.Second).String()
		}
		return text
	}
	return string(r.Verdict)
}

// String is "12 ok", "12 ok 3 skip" or "2 FAIL 12 ok".
func (c Counts) String() string {
	text := fmt.Sprintf("%d ok", c.Pass)
	if c.Fail > 0 {
		text = fmt.Sprintf("%d FAIL %s", c.Fail, text)
	}
	if c.Skip > 0 {
		text += fmt.Sprintf(" %d skip", c.Skip)
	}
	return text
}

// writeSkips groups what was skipped by its reason: the reasons are few.
func (r Report) writeSkips(w io.Writer) {
	type where map[string]map[string]bool // test -> places
	reasons := map[string]where{}
	for _, p := range r.Places {
		if p.Missing != "" {
			fmt.Fprintf(w, "\n%s: skipped: %s\n", p.Name, p.Missing)
		}
		for _, res := range p.Results {
			for _, s := range res.Skips {
				test := res.Suite + " " + s.Test + " as " + res.User
				if reasons[s.Text] == nil {
					reasons[s.Text] = where{}
				}
				if reasons[s.Text][test] == nil {
					reasons[s.Text][test] = map[string]bool{}
				}
				reasons[s.Text][test][p.Name] = true
			}
		}
	}
	for _, reason := range slices.Sorted(maps.Keys(reasons)) {
		fmt.Fprintf(w, "\nskipped: %s\n", reason)
		for _, test := range slices.Sorted(maps.Keys(reasons[reason])) {
			fmt.Fprintf(w, "    %s: %s\n", test, strings.Join(slices.Sorted(maps.Keys(reasons[reason][test])), ", "))
		}
	}
}

// writeTrouble prints what went wrong in a place.
func (p Place) writeTrouble(w io.Writer) {
	for _, n := range p.Notes {
		fmt.Fprintf(w, "\n%s: note: %s\n", p.Name, n)
	}
	if p.Trouble != "" {
		fmt.Fprintf(w, "\n%s: TROUBLE: %s\n", p.Name, p.Trouble)
	}
	for _, d := range p.Differences {
		fmt.Fprintf(w, "\n%s: FAIL: %s does not hold: %s\n", p.Name, AnswersTable, d)
	}
	for _, r := range p.Results {
		if r.Verdict == Failed {
			r.writeFailure(w, p.Name)
		}
	}
}

// writeFailure prints what went wrong in a run.
func (r Result) writeFailure(w io.Writer, place string) {
	fmt.Fprintf(w, "\nFAIL %s: %s\n", fmt.Sprintf("%s on %s as %s", r.Suite, place, r.User), r.Status)
	for _, left := range r.Left {
		fmt.Fprintf(w, "    left a process behind: %s\n", left)
	}
	for _, f := range r.Failures {
		fmt.Fprintf(w, "    --- %s\n", f.Test)
		for line := range strings.Lines(f.Text) {
			fmt.Fprintf(w, "        %s", line)
		}
		fmt.Fprintln(w)
	}
	// Without a test that failed, what it printed last says how it ended.
	if len(r.Failures) == 0 && len(r.Left) == 0 {
		fmt.Fprintln(w, r.Output)
	}
}
