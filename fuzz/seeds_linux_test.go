// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package fuzz

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"
)

// seeds are what the targets begin with that draw from bytes. Without them the
// fuzzer begins with none at all: drawing ends where the bytes do, and what is
// shorter than a whole draw compares nothing.
var seeds = makeSeeds(8, 4096)

// makeSeeds returns n blocks, the same every time.
func makeSeeds(n, size int) [][]byte {
	source := rand.NewChaCha8([32]byte([]byte("what the generated tests draw of")))
	blocks := make([][]byte, n)
	for i := range blocks {
		blocks[i] = make([]byte, size)
		source.Read(blocks[i])
	}
	return blocks
}

// seedLasts fails a test of a seed that was skipped: it has too few bytes for
// what is drawn nowadays, and would be found by nobody. It is to be deferred.
func seedLasts(t *testing.T, data []byte) {
	same := func(seed []byte) bool { return bytes.Equal(seed, data) }
	if t.Skipped() && slices.ContainsFunc(seeds, same) {
		t.Errorf("a seed of %d bytes ends before all is drawn: make them longer", len(data))
	}
}
