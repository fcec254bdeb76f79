// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

// Probes is the Suite of a run that is not a test binary but the program that
// prints an [Answer] per line.
const Probes = "probes"

// AutoPicks is the Probe of the answer that is not a feature but a strategy.
const AutoPicks = "Auto picks"

// Answer is what one probe says in one place.
type Answer struct {
	Probe  string `json:"probe"`
	Since  string `json:"since,omitempty"` // "Linux 6.15"
	State  string `json:"state"`           // "works", "no" or "unknown"
	Reason string `json:"reason,omitempty"`
}
