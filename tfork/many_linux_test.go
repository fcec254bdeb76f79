// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package tfork

import (
	"testing"

	"github.com/seed-cb702d51/tfork-go/internal/testutil"
)

// TestManyWorkers_ThreadsAndMemory: 12,000 live children in one process.
func TestManyWorkers_ThreadsAndMemory(t *testing.T) {
	const children = 12_000
	if testing.Short() {
		t.Skip("starts 12,000 processes")
	}
	if err := directParks(); err != nil {
		t.Skip("one thread per worker here: ", err)
	}
	needChildren(t, children)
	if free := memAvailable(t); free < children*200<<10 {
		t.Skipf("%d bytes of memory available, 200 KiB for each child needed", free)
	}
	got := holdChildren(t, mode{strategy: Direct}, testutil.TinyPause(t), children)
	t.Logf("%d threads, %d bytes for each child", got.threads, got.bytesPerChild)
	if got.threads > 32 {
		t.Errorf("%d threads, want at most 32", got.threads)
	}
	if limit := 8 << 10; !raceEnabled && got.bytesPerChild >= limit {
		t.Errorf("%d bytes of the caller's memory for each child, want less than %d", got.bytesPerChild, limit)
	}
}
