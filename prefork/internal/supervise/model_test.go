// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package supervise

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/seed-cb702d51/tfork-go/prefork/internal/restart"
)

// world is what the actions say exists: the model that the machine's promises
// are checked against.
type world struct {
	t        *rapid.T
	live     map[Inc]int  // process -> slot
	told     map[Inc]bool // asked or made to leave
	ready    map[Inc]bool
	seen     Inc
	stopped  bool
	finished int
}

func (w *world) apply(actions []Action) {
	for _, a := range actions {
		switch a := a.(type) {
		case Spawn:
			w.spawn(a)
		case Promote:
			if !w.ready[a.Inc] {
				w.t.Fatalf("process %d promoted before it was ready", a.Inc)
			}
		case TellStop:
			w.told[a.Inc] = true
		case Abort:
			w.told[a.Inc] = true
		case Kill:
			w.told[a.Inc] = true
		case Gone:
			if _, still := w.live[a.Inc]; still {
				w.t.Fatalf("process %d called gone while it lives", a.Inc)
			}
		case Finished:
			w.finished++
		}
	}
	w.check()
}

func (w *world) spawn(a Spawn) {
	if a.Inc <= w.seen {
		w.t.Fatalf("number %d used again", a.Inc)
	}
	if w.stopped {
		w.t.Fatal("a process started after Stop")
	}
	w.seen = a.Inc
	w.live[a.Inc] = a.Slot
}

// check holds the promise: in each slot at most one process that serves and one
// replacement, all others are on their way out.
func (w *world) check() {
	staying := map[int]int{}
	for inc, slot := range w.live {
		if !w.told[inc] {
			staying[slot]++
		}
	}
	for slot, n := range staying {
		if n > 2 {
			w.t.Fatalf("slot %d has %d processes that stay", slot, n)
		}
	}
	if w.finished > 1 || w.finished == 1 && len(w.live) > 0 {
		w.t.Fatalf("finished %d times with %d processes alive", w.finished, len(w.live))
	}
}

// pick draws one of the live processes, or none.
func (w *world) pick(t *rapid.T) Inc {
	if len(w.live) == 0 {
		return 0
	}
	var incs []Inc
	for inc := Inc(1); inc <= w.seen; inc++ {
		if _, ok := w.live[inc]; ok {
			incs = append(incs, inc)
		}
	}
	return rapid.SampledFrom(incs).Draw(t, "process")
}

func TestMachine_PromisesHoldUnderAnyEvents(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := Policy{
			Backoff:        restart.Backoff{Increment: 2 * time.Second, Maximum: 5 * time.Second, Jitter: 0.1},
			Limit:          &restart.Window{Limit: rapid.IntRange(0, 5).Draw(t, "limit"), Span: 10 * time.Second},
			FatalCodes:     []int{3},
			StopTimeout:    3 * time.Second,
			ReadyTimeout:   time.Duration(rapid.IntRange(0, 1).Draw(t, "ready timeout")) * 4 * time.Second,
			BeginTimeout:   time.Duration(rapid.IntRange(0, 1).Draw(t, "begin timeout")) * 4 * time.Second,
			ReplaceTimeout: 4 * time.Second,
			BeatTimeout:    5 * time.Second,
			AbortGrace:     time.Second,
		}
		m := New(func(int) Policy { return p }, func() float64 { return 0.5 })
		w := &world{t: t, live: map[Inc]int{}, told: map[Inc]bool{}, ready: map[Inc]bool{}}
		now := time.Unix(0, 0)
		on := func(e Event) { w.apply(m.Handle(now, e)) }
		die := func(o restart.Outcome) func(*rapid.T) {
			return func(t *rapid.T) {
				inc := w.pick(t)
				delete(w.live, inc)
				on(Exited{inc, o})
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"scale": func(t *rapid.T) { on(Scale{rapid.IntRange(0, 4).Draw(t, "count")}) },
			"ready": func(t *rapid.T) {
				inc := w.pick(t)
				w.ready[inc] = true
				on(Ready{inc})
			},
			"beat":    func(t *rapid.T) { on(Beat{w.pick(t)}) },
			"crash":   die(restart.Outcome{Signal: 11}),
			"exit":    die(restart.Outcome{}),
			"fatal":   die(restart.Outcome{Code: 3}),
			"lost":    die(restart.Outcome{Lost: true}),
			"recycle": func(t *rapid.T) { on(Recycle{Inc: w.pick(t)}) },
			"reload":  func(*rapid.T) { on(Reload{}) },
			"time": func(t *rapid.T) {
				now = now.Add(time.Duration(rapid.IntRange(0, 6000).Draw(t, "ms")) * time.Millisecond)
				on(Tick{})
				if at, ok := m.Deadline(); ok && !at.After(now) {
					t.Fatalf("a deadline in the past after Tick: %v", now.Sub(at))
				}
			},
			"stop": func(t *rapid.T) {
				if rapid.IntRange(0, 9).Draw(t, "rarely") == 0 {
					w.stopped = true
					on(Stop{})
				}
			},
		})
		// However it went: told to stop, everybody gone, it is finished.
		w.stopped = true
		on(Stop{})
		for inc := range w.live {
			if !w.told[inc] {
				t.Fatalf("process %d was not told to stop", inc)
			}
		}
		for inc := range w.live {
			delete(w.live, inc)
			on(Exited{Inc: inc})
		}
		if w.finished != 1 {
			t.Fatalf("finished %d times, want once", w.finished)
		}
	})
}
