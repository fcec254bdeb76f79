// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package supervise

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-cb702d51/tfork-go/prefork/internal/restart"
)

// troupe is an owner whose processes are only played: each does what the test
// says, on the bubble's clock.
type troupe struct {
	group   *Group
	starts  []time.Time
	noticed []string
	// play is what the n-th process (from 1) does: it returns how it ends.
	play func(n int) restart.Outcome
	fail map[int]error // starts that fail
	gone int
}

type actor struct {
	t    *troupe
	told chan string
}

func (a *actor) TellStop(reason string) { a.told <- reason }
func (a *actor) Abort(reason string)    { a.told <- reason }
func (a *actor) Kill(reason string)     { a.told <- reason }
func (a *actor) Gone()                  { a.t.gone++ }

func (t *troupe) Start(s Spawn) (Process, error) {
	t.starts = append(t.starts, time.Now())
	n := len(t.starts)
	if err := t.fail[n]; err != nil {
		return nil, err
	}
	a := &actor{t: t, told: make(chan string, 9)}
	go func() {
		t.group.Post(Ready{Inc: s.Inc})
		if o := t.play(n); o != (restart.Outcome{}) {
			t.group.Post(Exited{Inc: s.Inc, Outcome: o})
			return
		}
		<-a.told
		t.group.Post(Exited{Inc: s.Inc})
	}()
	return a, nil
}

func (t *troupe) Promote(int, Process) {}

func (t *troupe) Notice(a Action, _ Process) { t.noticed = append(t.noticed, word(a)) }

// TestGroup_BackoffToTheSecond is the table of spec §3.9, on real timers of a
// clock that does not wait. The processes live for a week: nothing resets.
func TestGroup_BackoffToTheSecond(t *testing.T) {
	for _, tt := range []struct {
		increment, maximum int
		waits              []int // seconds before each restart
	}{
		{10, 120, []int{0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 110, 120, 120, 120}},
		{5, 10, []int{0, 5, 10, 10, 10}},
		{2, 5, []int{0, 2, 4, 5, 5}},
		{0, 120, []int{0, 0, 0}},
		{10, 0, []int{0, 0, 0}},
		{10, 5, []int{0, 5, 5, 5}},
	} {
		t.Run(fmt.Sprintf("%d of %d", tt.increment, tt.maximum), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const life = 7 * 24 * time.Hour
				p := Policy{Limit: &restart.Window{}, Backoff: restart.Backoff{Increment: time.Duration(tt.increment) * time.Second, Maximum: time.Duration(tt.maximum) * time.Second}}
				deaths := len(tt.waits)
				tr := &troupe{play: func(n int) restart.Outcome {
					if n > deaths {
						return restart.Outcome{} // the last one lives until it is told
					}
					time.Sleep(life)
					return restart.Outcome{Code: 127}
				}}
				tr.group = NewGroup(New(func(int) Policy { return p }, func() float64 { return 0 }), tr)
				go tr.group.Run(1)
				time.Sleep(time.Duration(deaths+1) * (life + 200*time.Second))
				tr.group.Post(Stop{})
				<-tr.group.Done()
				if len(tr.starts) != deaths+1 || tr.gone != deaths+1 {
					t.Fatalf("%d starts and %d ends, want %d", len(tr.starts), tr.gone, deaths+1)
				}
				for i, want := range tt.waits {
					if got := tr.starts[i+1].Sub(tr.starts[i]) - life; got != time.Duration(want)*time.Second {
						t.Errorf("death %d: successor after %v, want %ds", i+1, got, want)
					}
				}
			})
		})
	}
}

// TestGroup_StaysResponsiveWhileAWorkerWaits: one crash-looping worker delays
// nobody else.
func TestGroup_StaysResponsiveWhileAWorkerWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := Policy{Limit: &restart.Window{}, Backoff: restart.Backoff{Increment: time.Hour, Maximum: time.Hour}}
		tr := &troupe{fail: map[int]error{1: errors.New("no room"), 3: errors.New("no room")}}
		tr.play = func(int) restart.Outcome { return restart.Outcome{} }
		tr.group = NewGroup(New(func(int) Policy { return p }, func() float64 { return 0 }), tr)
		go tr.group.Run(2)
		begin := time.Now()
		starts := func() int { // asked of the group itself, which must answer at once
			answer := make(chan int, 1)
			tr.group.Do(func() { answer <- len(tr.starts) })
			return <-answer
		}
		synctest.Wait()
		if got := starts(); got != 3 { // the first failed, the second lives, the first failed again
			t.Fatalf("%d starts, want 3", got)
		}
		if waited := time.Since(begin); waited != 0 {
			t.Errorf("the group answered after %v", waited)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if got := starts(); got != 4 {
			t.Errorf("%d starts after the backoff, want 4", got)
		}
		tr.group.Post(Stop{})
		<-tr.group.Done()
		tr.group.Post(Stop{}) // must not block
		tr.group.Do(func() { t.Error("ran after the end") })
	})
}

// TestGroup_FollowKeepsTheOrder: of many wishes that the owner has in the group's
// goroutine the last one counts.
func TestGroup_FollowKeepsTheOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := &troupe{play: func(int) restart.Outcome { return restart.Outcome{} }}
		tr.group = NewGroup(New(func(int) Policy { return Policy{Limit: &restart.Window{}} }, func() float64 { return 0 }), tr)
		go tr.group.Run(1)
		for count := range 100 {
			tr.group.Do(func() { tr.group.Follow(Scale{Count: 100 - count}) })
		}
		synctest.Wait()
		tr.group.Do(func() {
			if got := tr.group.Count(); got != 1 {
				t.Errorf("%d slots, want 1", got)
			}
		})
		tr.group.Post(Stop{})
		<-tr.group.Done()
	})
}
