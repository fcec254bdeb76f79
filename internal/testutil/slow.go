// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package testutil

import (
	"os"
	"strconv"
	"sync"
	"testing"
	"time"
)

// slowKey says by how much this machine is slower than a developer's: an
// emulated one is about 20 times slower.
const slowKey = "TFORK_TEST_SLOW"

// Slow returns that factor, at least 1. It is for deadlines, and for loops that
// would be too long in an emulator; a test that needs it to be right is wrong.
var Slow = sync.OnceValue(func() int {
	n, _ := strconv.Atoi(os.Getenv(slowKey))
	return max(n, 1)
})

// Scaled returns a deadline that suits the machine. [Poll] does it by itself.
func Scaled(d time.Duration) time.Duration { return d * time.Duration(Slow()) }

// Fewer returns how many rounds a test should make that makes n of them on a
// developer's machine: so many fewer on a slow one, and a tenth with -short,
// but not so few that the test means nothing.
func Fewer(n int) int {
	rounds := n / Slow()
	if testing.Short() {
		rounds /= 10
	}
	return max(rounds, min(n, 40))
}
