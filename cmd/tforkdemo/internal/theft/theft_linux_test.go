// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package theft

import (
	"errors"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/seed-cb702d51/tfork-go/internal/testutil"
	"github.com/seed-cb702d51/tfork-go/tfork"
)

func TestMain(m *testing.M) {
	os.Setenv("GORACE", "atexit_sleep_ms=0")
	testutil.Main(m, tfork.Dispatch, tfork.CloseIdle)
}

// TestPlay_KnowsTheTruth: where nobody interferes every status is true, also
// that of os/exec.
func TestPlay_KnowsTheTruth(t *testing.T) {
	n := testutil.Fewer(300)
	children := Children(n)
	for _, s := range []Starter{OSExec(), Tfork(tfork.Direct), Tfork(tfork.Waiter)} {
		if got := s.Play(children, Surroundings{}); got.True != n || got.Err != nil || got.Taken != -1 {
			t.Errorf("%s: %+v", s.Name, got)
		}
	}
}

func TestChildren_HaveAllKindsOfEndings(t *testing.T) {
	kinds := map[Ending]bool{}
	signals := 0
	for _, c := range Children(3000) {
		kinds[c.Want] = true
		if c.Want.Signal != 0 {
			signals++
		}
	}
	if len(kinds) != 256+4 || signals != 300 {
		t.Errorf("%d kinds of endings, %d signals; want all 256 exit codes and 4 signals, 300 of the latter", len(kinds), signals)
	}
}

// TestSurroundings_TakeFromOSExecOnly, and put everything back.
func TestSurroundings_TakeFromOSExecOnly(t *testing.T) {
	all, err := All()
	if err != nil {
		t.Fatal(err)
	}
	children := Children(testutil.Fewer(200))
	for _, s := range all {
		t.Run(s.Name, func(t *testing.T) {
			leave := s.Enter()
			// Who is woken first is the kernel's choice, and mostly the same one.
			var stdlib Score
			testutil.PollFor(time.Minute, func() bool {
				stdlib = OSExec().Play(children, s)
				return stdlib.Lost > 0
			})
			ours := Tfork(tfork.Waiter).Play(children, s)
			tfork.CloseIdle()
			leave()
			if stdlib.Lost == 0 || stdlib.Err == nil {
				t.Errorf("os/exec lost nothing: %+v", stdlib)
			}
			if ours.True != len(children) {
				t.Errorf("tfork: %+v", ours)
			}
			if got := OSExec().Play(children[:20], Surroundings{}); got.True != 20 {
				t.Errorf("after it os/exec is not as before: %+v", got)
			}
		})
	}
}

func TestScore_TellsLiesAndFailures(t *testing.T) {
	var s Score
	s.count(Ending{Code: 1}, answer{ending: Ending{Code: 1}})
	s.count(Ending{Code: 1}, answer{ending: Ending{Signal: syscall.SIGHUP}})
	s.count(Ending{Code: 1}, answer{lost: errors.New("lost"), unguarded: true})
	s.count(Ending{Code: 1}, answer{failed: errors.New("failed")})
	if s.True != 1 || s.Wrong != 1 || s.Lost != 1 || s.NotStarted != 1 || !s.Unguarded || s.Err.Error() != "lost" || s.Children() != 3 {
		t.Errorf("%+v", s)
	}
}
