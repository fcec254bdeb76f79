// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package pidfd

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-cb702d51/tfork-go/internal/testutil"
)

// TestPoll_StormOfSignals: no signal ends a look with a thread, which the probe
// of exit information waits with (poll is restarted by no SA_RESTART).
func TestPoll_StormOfSignals(t *testing.T) {
	c := sh(t, "read x")
	testutil.Storm(t, func() {
		err := c.With(func(fd int) error {
			for {
				// The time begins anew after each signal: it is only an upper limit.
				events, err := pollFor(fd, time.Minute)
				if err != nil || events&unix.POLLIN != 0 {
					return err
				}
			}
		})
		if err != nil {
			t.Errorf("poll: %v", err)
		}
	}, func(arrived int) {
		if arrived == 100 {
			c.stdin.Close() // the shell ends
		}
	})
}

// TestHaveExitInfo_StormOfSignals: the probe's answer is the same.
func TestHaveExitInfo_StormOfSignals(t *testing.T) {
	want := testExitInfo()
	probed := make(chan struct{})
	testutil.Storm(t, func() {
		for range 20 {
			if got := testExitInfo(); (got == nil) != (want == nil) || isAbsent(got) != isAbsent(want) {
				t.Errorf("probe = %v, want %v", got, want)
			}
		}
		<-probed
	}, func(arrived int) {
		if arrived == 200 {
			close(probed)
		}
	})
}
