// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package tfork

import (
	"errors"
	"os"
	"testing"

	"github.com/seed-cb702d51/tfork-go/internal/testutil"
)

// TestWithHandle_AfterAShortWorker: it may have ended before its start was through,
// which is another thing than a system without pidfds.
func TestWithHandle_AfterAShortWorker(t *testing.T) {
	if err := waiterPossible(); err != nil {
		t.Skip(err)
	}
	tiny := testutil.Tiny(t, 0)
	for i := range 200 {
		c := Command(tiny)
		c.Strategy = Waiter
		mustStart(t, c)
		live := c.Process.WithHandle(func(uintptr) {})
		if i == 0 && errors.Is(live, os.ErrNoHandle) {
			t.Skip("the waiter has no pidfds to give here")
		}
		if live != nil && !errors.Is(live, os.ErrProcessDone) {
			t.Fatalf("start %d: WithHandle = %v at once", i, live)
		}
		if err := c.Wait(); err != nil {
			t.Fatal(err)
		}
		if err := c.Process.WithHandle(func(uintptr) {}); !errors.Is(err, os.ErrProcessDone) {
			t.Fatalf("start %d: WithHandle = %v after Wait, want os.ErrProcessDone", i, err)
		}
	}
}
