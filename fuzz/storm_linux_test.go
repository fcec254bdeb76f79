// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package fuzz

import (
	"testing"

	"github.com/seed-cb702d51/tfork-go/internal/testutil"
)

// TestStorm_StartAndWait: whole commands, started and waited for on a thread
// that gets signals all the time, at each of its system calls.
func TestStorm_StartAndWait(t *testing.T) {
	for _, w := range ourWays(t) {
		t.Run(w.name, func(t *testing.T) {
			settle() // the waiter is started in the storm, too
			hundred := make(chan struct{})
			testutil.Storm(t, func() {
				for range 10 {
					if err := works(w); err != nil {
						t.Error(err)
					}
				}
				<-hundred
			}, func(arrived int) {
				if arrived == 100 {
					close(hundred)
				}
			})
		})
	}
}
