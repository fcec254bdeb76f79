// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package prefork

import "testing"

// startIn is start with a variable of the environment.
func startIn(t testing.TB, env, settings string, services ...string) *stage {
	t.Helper()
	s := prepare(t, settings)
	s.env = []string{env}
	s.launch(services...)
	s.ready()
	return s
}

// eachStrategyAtOnce is forEachStrategy for tests that wait for a long time, all
// of them together. env is to be in the server's environment.
func eachStrategyAtOnce(t *testing.T, f func(t *testing.T, env string)) {
	t.Parallel()
	for _, strategy := range []string{"direct", "waiter"} {
		t.Run(strategy, func(t *testing.T) {
			t.Parallel()
			f(t, "TFORK_STRATEGY="+strategy)
		})
	}
}

// forEachStrategy runs f with TFORK_STRATEGY set, which every process of the
// server inherits.
func forEachStrategy(t *testing.T, f func(t *testing.T)) {
	for _, strategy := range []string{"direct", "waiter"} {
		t.Run(strategy, func(t *testing.T) {
			t.Setenv("TFORK_STRATEGY", strategy)
			f(t)
		})
	}
}
