// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !race

package tfork

// raceEnabled says that the race detector's own memory is counted too.
const raceEnabled = false
