// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package theft

// Surroundings are something in a process that takes exit statuses away.
type Surroundings struct {
	// Name completes the sentence "all of this happens while ...".
	Name string
	// Enter begins it. leave ends it and puts everything back.
	Enter func() (leave func())
	// Taken counts the statuses that were taken so far; nil if that cannot be
	// known.
	Taken func() int
}

// All returns the surroundings that can be had on this system.
func All() ([]Surroundings, error) { return all() }
