// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package suite

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/seed-cb702d51/tfork-go/internal/ci/plan"
)

// AnswersTable is the document with the table of what the probes say where. Its
// header begins with [answersHeader]; the other columns are places.
const AnswersTable = "docs/kernels.md"

// answersHeader are the first two columns.
var answersHeader = []string{"probe", "first kernel"}

// In the table, y is "works" and - is "no".
var shortStates = map[string]string{"works": "y", "no": "-"}

// shortState is a state as it is in the table; a strategy stays as it is.
func shortState(state string) string {
	if s, ok := shortStates[state]; ok {
		return s
	}
	return state
}

// Documented is the table: place -> probe -> y, - or a strategy. The first
// kernels are those of the place "".
type Documented map[string]map[string]string

// ReadDocumented reads the table from the module's root.
func ReadDocumented() (Documented, error) {
	f, err := os.Open(AnswersTable)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return parseDocumented(f)
}

// parseDocumented finds the Markdown table with the right header.
func parseDocumented(r io.Reader) (Documented, error) {
	var header []string
	found := Documented{"": {}}
	for sc := bufio.NewScanner(r); sc.Scan(); {
		cells := cells(sc.Text())
		switch {
		case len(cells) > 2 && slices.Equal(cells[:2], answersHeader):
			header = cells
		case header == nil || strings.HasPrefix(sc.Text(), "|---"):
		case len(cells) == 0:
			return found, nil
		case len(cells) != len(header):
			return nil, fmt.Errorf("%s: row %q has %d cells, the header %d", AnswersTable, cells[0], len(cells), len(header))
		default:
			found.addRow(header, cells)
		}
	}
	if header == nil {
		return nil, fmt.Errorf("%s: no table whose header begins with %q", AnswersTable, answersHeader)
	}
	return found, nil
}

// cells splits a row of a table; what is none has no cells.
func cells(line string) []string {
	inner, ok := strings.CutPrefix(strings.TrimSpace(line), "|")
	if !ok {
		return nil
	}
	cells := strings.Split(strings.TrimSuffix(inner, "|"), "|")
	for i := range cells {
		cells[i] = strings.TrimSpace(cells[i])
	}
	return cells
}

// addRow files the cells under their places.
func (d Documented) addRow(header, cells []string) {
	d[""][cells[0]] = cells[1]
	for i := 2; i < len(cells); i++ {
		if d[header[i]] == nil {
			d[header[i]] = map[string]string{}
		}
		d[header[i]][cells[0]] = cells[i]
	}
}

// A Nature says how a place comes to its answers.
type Nature int

// The natures.
const (
	// Real is a kernel as it is: its version and the first kernels must agree.
	Real Nature = iota
	// Filtered is this machine's kernel with something taken away: what is too
	// new for it is missing there too, whatever the table says.
	Filtered
	// Emulated is something else that says it is a kernel.
	Emulated
)

// Differences compares what the probes said in a place with the table, and
// with the first kernels that they name.
func (d Documented) Differences(place, release string, nature Nature, answers []plan.Answer) []string {
	var diffs []string
	differ := func(format string, args ...any) { diffs = append(diffs, fmt.Sprintf(format, args...)) }
	said := map[string]bool{}
	for _, a := range answers {
		said[a.Probe] = true
		since := strings.TrimPrefix(a.Since, "Linux ")
		if documented := d[""][a.Probe]; documented != since {
			differ("%s: the probe names Linux %s as the first, the table %q", a.Probe, since, documented)
		}
		if a.Probe == plan.AutoPicks {
			since = exitInfo // what it depends on
		}
		works, newEnough := a.State == "works", version(release) >= version(since)
		if nature == Filtered && !works && !newEnough {
			continue
		}
		if got, want := shortState(a.State), d[place][a.Probe]; got != want {
			differ("%s: the probe says %s (%s), the table %q", a.Probe, got, a.Reason, want)
		}
		if nature == Real && a.Probe != plan.AutoPicks && works != newEnough {
			differ("%s: the probe says %v on %s (%s), and names Linux %s as the first", a.Probe, works, release, a.Reason, since)
		}
	}
	for probe := range d[place] {
		if !said[probe] {
			differ("%s: in the table, but no probe", probe)
		}
	}
	slices.Sort(diffs)
	return diffs
}

// exitInfo is the first kernel whose exit information Auto can rely on.
const exitInfo = "6.15"

// version makes "6.15" and "6.15.3+deb13-cloud" comparable with one another.
func version(s string) int {
	var major, minor int
	fmt.Sscanf(s, "%d.%d", &major, &minor)
	return major*1000 + minor
}

// parseAnswers reads what the program probes printed.
func parseAnswers(out []byte) (answers []plan.Answer, err error) {
	for line := range bytes.Lines(out) {
		var a plan.Answer
		if err := json.Unmarshal(line, &a); err != nil {
			return nil, fmt.Errorf("probes printed %q: %w", line, err)
		}
		answers = append(answers, a)
	}
	return answers, nil
}

// writeAnswers prints the table of this report in the form of the document, so
// that a new column can be taken from here.
func (r Report) writeAnswers(w io.Writer) {
	var names []string
	rows := map[string][]string{}
	header := slices.Clone(answersHeader)
	for _, p := range r.Places {
		if len(p.Answers) == 0 {
			continue
		}
		header = append(header, p.Name)
		for _, a := range p.Answers {
			if rows[a.Probe] == nil {
				names = append(names, a.Probe)
				rows[a.Probe] = []string{a.Probe, strings.TrimPrefix(a.Since, "Linux ")}
			}
			rows[a.Probe] = append(rows[a.Probe], shortState(a.State))
		}
	}
	if len(names) == 0 {
		return
	}
	fmt.Fprintf(w, "\n| %s |\n|%s\n", strings.Join(header, " | "), strings.Repeat("---|", len(header)))
	for _, name := range names {
		fmt.Fprintf(w, "| %s |\n", strings.Join(rows[name], " | "))
	}
}
