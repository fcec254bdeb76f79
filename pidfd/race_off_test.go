// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !race

package pidfd

// raceEnabled: the race detector's shadow memory is not ours to count.
const raceEnabled = false
