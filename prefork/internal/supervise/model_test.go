// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package supervise

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/seed-cb702d51/tfork-go/prefork/internal/restart"
)

// TestMachine_PromisesHoldUnderAnyEvents draws events and steps of a clock, and
// holds all that the machine does, and does not, against a model.
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
			BeatTimeout:    6 * time.Second,
			AbortGrace:     time.Second,
		}
		m := New(func(int) Policy { return p }, half)
		w := &world{t: t, policy: p, now: time.Unix(0, 0), live: map[Inc]*member{}, places: map[int]*place{}}
		w.on(m, Scale{rapid.IntRange(1, 4).Draw(t, "count")})
		t.Repeat(w.events(m))
		// However it went: told to stop, everybody gone, it is finished.
		w.on(m, Stop{})
		for _, inc := range m.Live() {
			w.die(m, inc, restart.Outcome{})
		}
		if w.finished != 1 {
			t.Fatalf("finished %d times, want once", w.finished)
		}
	})
}

// events are what rapid draws from, by name.
func (w *world) events(m *Machine) map[string]func(*rapid.T) {
	die := func(o restart.Outcome) func(*rapid.T) {
		return func(t *rapid.T) { w.die(m, w.pick(t), o) }
	}
	// What leaves little to look at is drawn seldom.
	seldom := func(f func(*rapid.T)) func(*rapid.T) {
		return func(t *rapid.T) {
			if rapid.IntRange(0, 9).Draw(t, "seldom") == 9 {
				f(t)
			}
		}
	}
	return map[string]func(*rapid.T){
		"scale": func(t *rapid.T) { w.on(m, Scale{rapid.IntRange(1, 4).Draw(t, "count")}) },
		"none":  seldom(func(*rapid.T) { w.on(m, Scale{0}) }),
		"ready": func(t *rapid.T) { w.on(m, Ready{w.pick(t)}) },
		"all ready": func(*rapid.T) {
			for _, inc := range m.Live() {
				w.on(m, Ready{inc})
			}
		},
		"beat":    func(t *rapid.T) { w.on(m, Beat{w.pick(t)}) },
		"crash":   die(restart.Outcome{Signal: 11}),
		"exit":    seldom(die(restart.Outcome{})),
		"fatal":   seldom(die(restart.Outcome{Code: 3})),
		"lost":    die(restart.Outcome{Lost: true}),
		"recycle": func(t *rapid.T) { w.on(m, Recycle{Inc: w.pick(t)}) },
		"reload":  func(*rapid.T) { w.on(m, Reload{}) },
		"time": func(t *rapid.T) {
			w.tick(m, w.now.Add(time.Duration(rapid.IntRange(0, 6000).Draw(t, "ms"))*time.Millisecond))
		},
		"deadline": func(*rapid.T) {
			if at, ok := m.Deadline(); ok {
				w.tick(m, at)
			}
		},
		"stop": seldom(func(*rapid.T) { w.on(m, Stop{}) }),
	}
}

// tick moves the clock.
func (w *world) tick(m *Machine, now time.Time) {
	w.now = now
	w.on(m, Tick{})
	if at, ok := m.Deadline(); ok && !at.After(now) {
		w.t.Fatalf("a deadline in the past after Tick: %v", now.Sub(at))
	}
}

// half is all the randomness there is here.
func half() float64 { return 0.5 }

// pick draws one of the live processes, or none.
func (w *world) pick(t *rapid.T) Inc {
	var incs []Inc
	for inc := range w.live {
		incs = append(incs, inc)
	}
	if len(incs) == 0 {
		return 0
	}
	slices.Sort(incs)
	return rapid.SampledFrom(incs).Draw(t, "process")
}
