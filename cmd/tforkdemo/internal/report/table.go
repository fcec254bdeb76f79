// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"

	"github.com/seed-cb702d51/tfork-go/cmd/tforkdemo/internal/batch"
)

// NewTable returns a table in the style of all of this program's tables.
func NewTable(columns ...any) table.Writer {
	t := table.NewWriter()
	style := table.StyleLight
	style.Format.Header = text.FormatDefault
	style.Format.Footer = text.FormatDefault
	t.SetStyle(style)
	t.AppendHeader(columns)
	return t
}

// maxDetail keeps the table within a terminal's width.
const maxDetail = 60

// WriteTable writes s for a person.
func (s *Summary) WriteTable(w io.Writer) error {
	t := NewTable("result", "children", "")
	t.SetColumnConfigs([]table.ColumnConfig{{Number: 2, Align: text.AlignRight, AlignHeader: text.AlignRight}})
	for o := range batch.Outcomes {
		t.AppendRow(table.Row{o, s.Outcomes[o], details(s.details[o])})
	}
	t.AppendSeparator()
	t.AppendRow(table.Row{"all", s.Children(), s.timing()})
	for _, name := range most(s.Strategies) {
		t.AppendRow(table.Row{"strategy " + name, s.Strategies[name], ""})
	}
	for _, name := range most(s.Placements) {
		t.AppendRow(table.Row{"in a cgroup", s.Placements[name], name})
	}
	if len(s.Placements) > 0 {
		t.AppendRow(table.Row{"OOM killed", s.OOMKilled, s.peak()})
	}
	if s.Unguarded > 0 {
		t.AppendRow(table.Row{"unguarded", s.Unguarded, "a status could have been lost: see tforkdemo probe"})
	}
	_, err := fmt.Fprintln(w, t.Render())
	return err
}

func (s *Summary) timing() string {
	line := "in " + Duration(s.Took)
	if len(s.times) > 0 {
		line = fmt.Sprintf("run time p50 %s, p99 %s; %s", Duration(s.Percentile(50)), Duration(s.Percentile(99)), line)
	}
	if s.Stopped != nil {
		line += "; stopped: " + s.Stopped.String()
	}
	return line
}

// peak is the most memory that one child had.
func (s *Summary) peak() string {
	if s.PeakMemory == 0 {
		return "peak memory is unknown here"
	}
	return "peak memory of one child " + Bytes(s.PeakMemory)
}

// Bytes returns n with a unit: "63.9MiB".
func Bytes(n uint64) string {
	const units = "KMGT"
	value, unit := float64(n), -1
	for value >= 1024 && unit < len(units)-1 {
		value, unit = value/1024, unit+1
	}
	if unit < 0 {
		return strconv.FormatUint(n, 10) + "B"
	}
	return fmt.Sprintf("%.1f%ciB", value, units[unit])
}

// details names the most frequent kinds of one outcome.
func details(counts map[string]int) string {
	const shown = 4
	var parts []string
	for i, name := range most(counts) {
		if i == shown {
			parts = append(parts, fmt.Sprintf("%d other kinds", len(counts)-shown))
			break
		}
		part := name
		if counts[name] > 1 {
			part = fmt.Sprintf("%d x %s", counts[name], name)
		}
		parts = append(parts, text.WrapSoft(part, maxDetail))
	}
	return strings.Join(parts, "\n")
}

// Duration returns d with three digits that count: "1.23ms", "45.6s".
func Duration(d time.Duration) string {
	for _, unit := range []time.Duration{time.Second, time.Millisecond, time.Microsecond} {
		switch {
		case d >= 100*unit:
			return d.Round(unit).String()
		case d >= 10*unit:
			return d.Round(unit / 10).String()
		case d >= unit:
			return d.Round(unit / 100).String()
		}
	}
	return d.String()
}
