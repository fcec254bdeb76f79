// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package report

import (
	"encoding/json"
	"io"

	"github.com/seed-cb702d51/tfork-go/cmd/tforkdemo/internal/batch"
	"github.com/seed-cb702d51/tfork-go/tfork"
)

// childJSON is one line of output: what became of one child. Fields that do
// not apply are left out.
type childJSON struct {
	Type      string   `json:"type"` // "child"
	Index     int      `json:"index"`
	Line      int      `json:"line,omitempty"`
	Command   []string `json:"command,omitempty"`
	Result    string   `json:"result"`
	Pid       int      `json:"pid,omitempty"`
	ExitCode  *int     `json:"exit_code,omitempty"`
	Signal    int      `json:"signal,omitempty"`
	Status    string   `json:"status,omitempty"`
	CoreDump  bool     `json:"core_dump,omitempty"`
	Error     string   `json:"error,omitempty"`
	Seconds   *float64 `json:"seconds,omitempty"`
	CPU       *float64 `json:"cpu_seconds,omitempty"`
	Strategy  string   `json:"strategy,omitempty"`
	Guarded   *bool    `json:"guarded,omitempty"`
	Collected string   `json:"collected_by,omitempty"`
	// With a cgroup of its own:
	Placement string `json:"placement,omitempty"`
	OOMKilled *bool  `json:"oom_killed,omitempty"`
	Peak      uint64 `json:"peak_memory_bytes,omitempty"`
}

// summaryJSON is the last line.
type summaryJSON struct {
	Type       string         `json:"type"` // "summary"
	Children   int            `json:"children"`
	OK         int            `json:"ok"`
	Failed     int            `json:"failed"`
	Signal     int            `json:"signal"`
	Lost       int            `json:"lost"`
	NotStarted int            `json:"not_started"`
	Seconds    float64        `json:"seconds"`
	P50        float64        `json:"p50_seconds"`
	P99        float64        `json:"p99_seconds"`
	Strategies map[string]int `json:"strategies"`
	Unguarded  int            `json:"unguarded"`
	Stopped    string         `json:"stopped,omitempty"`
	Placements map[string]int `json:"placements,omitempty"`
	OOMKilled  int            `json:"oom_killed,omitempty"`
	Peak       uint64         `json:"peak_memory_bytes,omitempty"`
}

var outcomeKeys = [batch.Outcomes]string{"ok", "failed", "signal", "lost", "not_started"}

// WriteChild writes one line for r.
func WriteChild(w io.Writer, r batch.Result) error {
	c := childJSON{
		Type: "child", Index: r.Index, Line: r.Line, Command: r.Args, Result: outcomeKeys[r.Outcome],
	}
	if r.Err != nil {
		c.Error = r.Err.Error()
	}
	if r.Started() {
		seconds := r.Took.Seconds()
		c.Pid, c.Seconds, c.Strategy, c.Guarded = r.Pid, &seconds, r.Strategy.String(), &r.Guarded
		if r.Outcome != batch.Lost {
			c.status(r)
		}
	}
	return json.NewEncoder(w).Encode(c)
}

func (c *childJSON) status(r batch.Result) {
	st := r.Status
	c.Status, c.CoreDump, c.Collected = st.String(), st.CoreDump(), st.Source().String()
	if st.Exited() {
		code := st.ExitStatus()
		c.ExitCode = &code
	}
	if st.Signaled() {
		c.Signal = int(st.Signal())
	}
	if cpu, ok := st.CPUTime(); ok {
		seconds := cpu.Seconds()
		c.CPU = &seconds
	}
	if r.Placement == tfork.PlacedNowhere {
		return
	}
	killed := st.OOMKilled()
	c.Placement, c.OOMKilled = r.Placement.String(), &killed
	c.Peak, _ = st.PeakMemory()
}

// WriteJSON writes s as one line.
func (s *Summary) WriteJSON(w io.Writer) error {
	out := summaryJSON{
		Type: "summary", Children: s.Children(),
		OK: s.Outcomes[batch.OK], Failed: s.Outcomes[batch.Failed], Signal: s.Outcomes[batch.Signaled],
		Lost: s.Outcomes[batch.Lost], NotStarted: s.Outcomes[batch.NotStarted],
		Seconds: s.Took.Seconds(), P50: s.Percentile(50).Seconds(), P99: s.Percentile(99).Seconds(),
		Strategies: s.Strategies, Unguarded: s.Unguarded,
		Placements: s.Placements, OOMKilled: s.OOMKilled, Peak: s.PeakMemory,
	}
	if s.Strategies == nil {
		out.Strategies = map[string]int{}
	}
	if s.Stopped != nil {
		out.Stopped = s.Stopped.String()
	}
	return json.NewEncoder(w).Encode(out)
}
