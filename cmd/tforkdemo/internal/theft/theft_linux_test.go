// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package theft

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
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
	want := 256 + 2
	for _, s := range []os.Signal{syscall.SIGHUP, syscall.SIGINT} {
		if !signal.Ignored(s) { // as under nohup(1)
			want++
		}
	}
	if len(kinds) != want || signals != 300 {
		t.Errorf("%d kinds of endings, %d signals; want %d, 300 of the latter", len(kinds), signals, want)
	}
}

// endings prints how many of a hundred children are to end by SIGHUP.
var endings = testutil.Helper("endings by SIGHUP", func([]string) int {
	n := 0
	for _, c := range Children(100) {
		if c.Want.Signal == syscall.SIGHUP {
			n++
		}
	}
	fmt.Print(n)
	return 0
})

func TestChildren_LeaveOutWhatIsIgnored(t *testing.T) {
	c := exec.Command("/bin/sh", "-c", "trap '' HUP; exec \"$0\"", testutil.Exe())
	c.Env = testutil.HelperEnv(endings)
	if out, err := c.CombinedOutput(); err != nil || string(out) != "0" {
		t.Errorf("%s, %v: want none that would ignore its end", out, err)
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
