// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package report

import (
	"cmp"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/seed-cb702d51/tfork-go/cmd/tforkdemo/internal/batch"
	"github.com/seed-cb702d51/tfork-go/tfork"
)

// Summary adds up results. The zero value is empty.
type Summary struct {
	// Outcomes counts results by outcome.
	Outcomes [batch.Outcomes]int
	// Strategies counts started children by strategy, Unguarded those for which
	// the promise did not hold.
	Strategies map[string]int
	Unguarded  int
	// Placements counts children with a cgroup by the way into it; of those,
	// OOMKilled were ended by the OOM killer, and PeakMemory, in bytes, is the
	// most that one had (0: unknown).
	Placements map[string]int
	OOMKilled  int
	PeakMemory uint64
	// Took is the time of the whole batch; Stopped is the signal that stopped
	// it, or nil.
	Took    time.Duration
	Stopped os.Signal

	details [batch.Outcomes]map[string]int
	times   []time.Duration
	sorted  bool
}

// Add counts r.
func (s *Summary) Add(r batch.Result) {
	s.Outcomes[r.Outcome]++
	if d := detail(r); d != "" {
		if s.details[r.Outcome] == nil {
			s.details[r.Outcome] = map[string]int{}
		}
		s.details[r.Outcome][d]++
	}
	if !r.Started() {
		return
	}
	if s.Strategies == nil {
		s.Strategies = map[string]int{}
	}
	s.Strategies[r.Strategy.String()]++
	if !r.Guarded {
		s.Unguarded++
	}
	s.times, s.sorted = append(s.times, r.Took), false
	if r.Placement != tfork.PlacedNowhere {
		s.addGroup(r)
	}
}

// addGroup counts what a child's own cgroup tells.
func (s *Summary) addGroup(r batch.Result) {
	if s.Placements == nil {
		s.Placements = map[string]int{}
	}
	s.Placements[r.Placement.String()]++
	if r.Status.OOMKilled() {
		s.OOMKilled++
	}
	if peak, ok := r.Status.PeakMemory(); ok {
		s.PeakMemory = max(s.PeakMemory, peak)
	}
}

// detail is what tells results of the same outcome apart.
func detail(r batch.Result) string {
	switch r.Outcome {
	case batch.OK:
		return ""
	case batch.Failed, batch.Signaled:
		return r.Status.String()
	}
	return r.Err.Error()
}

// Children is how many results there are.
func (s *Summary) Children() int {
	n := 0
	for _, count := range s.Outcomes {
		n += count
	}
	return n
}

// Percentile returns the smallest run time that at least p percent of the
// started children did not exceed (the nearest rank); 0 if there are none.
func (s *Summary) Percentile(p int) time.Duration {
	if len(s.times) == 0 {
		return 0
	}
	if !s.sorted {
		slices.Sort(s.times)
		s.sorted = true
	}
	rank := (p*len(s.times) + 99) / 100
	return s.times[max(rank, 1)-1]
}

// most returns the keys of counts, the most frequent first.
func most(counts map[string]int) []string {
	return slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b))
	})
}
