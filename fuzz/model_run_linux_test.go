// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package fuzz

import (
	"testing"

	"pgregory.net/rapid"
)

// TestModel_Process draws sequences of calls, and holds the answers against
// what a Process is: its status is told once it is there, always the same, and
// true.
func TestModel_Process(t *testing.T) {
	for _, w := range ourWays(t) {
		t.Run(w.name, func(t *testing.T) {
			forLong(t, w)
			rapid.Check(t, processProperty(w))
		})
	}
}

func processProperty(w way) func(*rapid.T) {
	return func(t *rapid.T) {
		defer watchdog("the model").Stop()
		c := &crew{t: t, way: w}
		defer c.finish()
		c.start()
		t.Repeat(c.actions())
	}
}

// FuzzModel_Process is the same for go test -fuzz.
func FuzzModel_Process(f *testing.F) {
	for i := range ourWays(f) {
		for _, seed := range seeds {
			f.Add(uint8(i), seed)
		}
	}
	f.Fuzz(func(t *testing.T, way uint8, data []byte) {
		defer seedLasts(t, data)
		ways := ourWays(t)
		rapid.MakeFuzz(processProperty(ways[int(way)%len(ways)]))(t, data)
	})
}
