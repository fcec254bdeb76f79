// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"math"
	"strings"
	"time"
)

// scope is where a key may stand.
type scope int

const (
	anywhere    scope = iota // a default of all services, or in a service
	globalOnly               // outside the tables only
	serviceOnly              // in a service's table only
)

// key is one thing that can be set.
type key struct {
	name  string
	scope scope
	// min and max limit numbers (durations in nanoseconds) and the elements of
	// lists of numbers.
	min, max float64
	// field points to the value: *int, *uint64, *float64, *bool, *string,
	// *time.Duration, *[]int, *[]string or [limit].
	field func(*Config, *Settings) any
}

// limit is one entry of [Settings.RLimits].
type limit struct {
	of   *map[string]uint64
	name string
}

// MaxChildren is how many workers a service may have.
const MaxChildren = 10_000

// The widest sensible values: more is a slip of the pen.
const (
	maxDuration = float64(30 * 24 * time.Hour)
	maxCPU      = 1 << 16
)

// RLimitNames are the resource limits that can be set, as setrlimit(2) calls
// them, in lower case.
var RLimitNames = []string{"as", "core", "cpu", "data", "fsize", "memlock", "nofile", "nproc", "stack"}

// keys is the whole table, in the order of the documentation.
func keys() []key {
	list := []key{
		{"runtime-dir", globalOnly, 0, 0, func(c *Config, _ *Settings) any { return &c.RuntimeDir }},
		{"model", globalOnly, 0, 0, func(c *Config, _ *Settings) any { return &c.Model }},
		{"log-file", globalOnly, 0, 0, func(c *Config, _ *Settings) any { return &c.LogFile }},

		{"listen", serviceOnly, 0, 0, func(_ *Config, s *Settings) any { return &s.Listen }},
		{"reuse-port", anywhere, 0, 0, func(_ *Config, s *Settings) any { return &s.ReusePort }},
		{"children", anywhere, 0, MaxChildren, func(_ *Config, s *Settings) any { return &s.Children }},
		{"backoff-increment", anywhere, 0, maxDuration, func(_ *Config, s *Settings) any { return &s.BackoffIncrement }},
		{"maximum-backoff", anywhere, 0, maxDuration, func(_ *Config, s *Settings) any { return &s.MaximumBackoff }},
		{"backoff-jitter", anywhere, 0, 1, func(_ *Config, s *Settings) any { return &s.BackoffJitter }},
		{"backoff-reset", anywhere, 0, maxDuration, func(_ *Config, s *Settings) any { return &s.BackoffReset }},
		{"restart-limit", anywhere, 0, 1_000_000, func(_ *Config, s *Settings) any { return &s.RestartLimit }},
		{"restart-window", anywhere, 1, maxDuration, func(_ *Config, s *Settings) any { return &s.RestartWindow }},
		{"fatal-exit-codes", anywhere, 1, 255, func(_ *Config, s *Settings) any { return &s.FatalExitCodes }},
		{"stop-timeout", anywhere, 1, maxDuration, func(_ *Config, s *Settings) any { return &s.StopTimeout }},
		{"ready-timeout", anywhere, 0, maxDuration, func(_ *Config, s *Settings) any { return &s.ReadyTimeout }},
		{"heartbeat-timeout", anywhere, 0, maxDuration, func(_ *Config, s *Settings) any { return &s.HeartbeatTimeout }},
		{"abort-grace", anywhere, 0, maxDuration, func(_ *Config, s *Settings) any { return &s.AbortGrace }},
		{"max-requests", anywhere, 0, math.MaxInt32, func(_ *Config, s *Settings) any { return &s.MaxRequests }},
		{"max-age", anywhere, 0, maxDuration, func(_ *Config, s *Settings) any { return &s.MaxAge }},
		{"max-memory", anywhere, 0, 1 << 50, func(_ *Config, s *Settings) any { return &s.MaxMemory }},
		{"recycle-jitter", anywhere, 0, 1, func(_ *Config, s *Settings) any { return &s.RecycleJitter }},
		{"user", anywhere, 0, 0, func(_ *Config, s *Settings) any { return &s.User }},
		{"group", anywhere, 0, 0, func(_ *Config, s *Settings) any { return &s.Group }},
		{"nice", anywhere, -20, 19, func(_ *Config, s *Settings) any { return &s.Nice }},
		{"cpus", anywhere, 0, maxCPU, func(_ *Config, s *Settings) any { return &s.CPUs }},
	}
	for _, name := range RLimitNames {
		list = append(list, key{"rlimit-" + name, anywhere, 0, 1 << 62, func(_ *Config, s *Settings) any {
			return limit{&s.RLimits, name}
		}})
	}
	return list
}

// plain is the form in which keys are compared: the reference ignores case and
// blanks, and calls its parameters "prefork ...".
func plain(name string) string {
	name = strings.NewReplacer(" ", "", "\t", "", "-", "", "_", "").Replace(strings.ToLower(name))
	return strings.TrimPrefix(name, "prefork")
}

// find looks a key up by any of its spellings.
func find(list []key, name string) (key, bool) {
	for _, k := range list {
		if plain(k.name) == plain(name) {
			return k, true
		}
	}
	return key{}, false
}

// nearest returns the name that is fewest edits away, or "" if none is near.
func nearest(names []string, name string) string {
	best, found := len(plain(name))/2+1, ""
	for _, n := range names {
		if d := distance(plain(n), plain(name)); d < best {
			best, found = d, n
		}
	}
	return found
}

// distance is Levenshtein's: single insertions, deletions and replacements.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
