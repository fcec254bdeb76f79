// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package supervise

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/seed-cb702d51/tfork-go/prefork/internal/restart"
)

// Duration is time.Duration; the alias keeps the action list readable.
type Duration = time.Duration

// Policy is how a slot of a [Machine] is treated. Zero durations are "no limit".
type Policy struct {
	Backoff restart.Backoff
	// Limit counts deaths; slots may share one. It must not be nil.
	Limit *restart.Window
	// FatalCodes are the exit codes that mean "do not restart".
	FatalCodes []int
	// StopTimeout is how long a process that was told to stop may take.
	StopTimeout Duration
	// ReadyTimeout is how long a process may take to report ready, and
	// ReplaceTimeout how long one that is to replace another.
	ReadyTimeout, ReplaceTimeout Duration
	// BeginTimeout is, where there is no ReadyTimeout, how long a process may
	// take to its first sign of life.
	BeginTimeout Duration
	// BeatTimeout is how long a ready process may be silent; where there is no
	// ReadyTimeout, also one that has given its first sign of life. The last
	// third of it counts only while the machine itself runs: see heard.
	BeatTimeout Duration
	// AbortGrace is the time between SIGABRT and SIGKILL.
	AbortGrace Duration
}

// phase is where a process is in its life.
type phase int

const (
	starting phase = iota
	ready
	stopping // told to stop
	aborting // SIGABRT sent
	killed   // SIGKILL sent
)

// proc is one live process.
type proc struct {
	inc     Inc
	slot    *slot
	policy  Policy // with which it was started; the slot's is its holder's
	phase   phase
	started time.Time
	// by is when the current phase must have ended; zero is never.
	by time.Time
	// rest is what a process that is watched still gets then: see heard.
	rest Duration
}

// slot is one place in the group, held by one process after the other.
type slot struct {
	number  int
	policy  Policy
	current *proc // holds the place, or nil
	next    *proc // is to take it over, or nil
	// restartAt is when a successor starts; zero is "none planned".
	restartAt time.Time
	chain     restart.Chain
	down      bool // its process ended for good
}

// Machine is the state. Make it with [New].
type Machine struct {
	policy func(slot int) Policy
	random func() float64
	slots  map[int]*slot
	procs  map[Inc]*proc
	last   Inc
	rolls  []*roll

	stopped   bool // Stop was seen
	finished  bool
	wasReady  bool // AllReady was said since the last change
	saidEmpty bool // AllDown was said

	now time.Time
	out []Action
}

// New returns a machine without slots; [Scale] starts it. policy is asked when
// a slot is made and again when a reload begins; random gives numbers in [0,1)
// for jitter.
func New(policy func(slot int) Policy, random func() float64) *Machine {
	return &Machine{policy: policy, random: random, slots: map[int]*slot{}, procs: map[Inc]*proc{}}
}

// Handle takes one event and returns what is to be done. Events about
// processes that are gone change nothing.
func (m *Machine) Handle(now time.Time, e Event) []Action {
	m.now, m.out = now, nil
	switch e := e.(type) {
	case Scale:
		m.scale(e.Count)
	case Exited:
		m.exited(e)
	case Ready:
		m.becameReady(e.Inc)
	case Beat:
		m.beat(e.Inc)
	case Recycle:
		m.recycle(e)
	case Reload:
		m.reload()
	case Stop:
		m.stop(e.Reason)
	case Tick:
		m.tick()
	default:
		panic(fmt.Sprintf("supervise: unknown event %T", e))
	}
	m.summary()
	return m.out
}

// Deadline is when the machine wants a [Tick]; ok is false if never.
func (m *Machine) Deadline() (at time.Time, ok bool) {
	earliest := func(t time.Time) {
		if !t.IsZero() && (!ok || t.Before(at)) {
			at, ok = t, true
		}
	}
	for _, p := range m.procs {
		earliest(p.by)
	}
	for _, s := range m.slots {
		earliest(s.restartAt)
	}
	return at, ok
}

// Live returns the processes that exist, oldest first.
func (m *Machine) Live() []Inc { return slices.Sorted(maps.Keys(m.procs)) }

// Count is the number of slots, those that are down included.
func (m *Machine) Count() int { return len(m.slots) }

// do adds an action to the answer.
func (m *Machine) do(a Action) { m.out = append(m.out, a) }

// after is now+d, or never for a limit that is not set.
func (m *Machine) after(d Duration) time.Time {
	if d <= 0 {
		return time.Time{}
	}
	return m.now.Add(d)
}

// order returns the slots by number, so that starts are in order.
func (m *Machine) order() []*slot {
	slots := slices.Collect(maps.Values(m.slots))
	slices.SortFunc(slots, func(a, b *slot) int { return a.number - b.number })
	return slots
}

// summary says what is true of the whole group after this event, once.
func (m *Machine) summary() {
	if m.stopped {
		if len(m.procs) == 0 && !m.finished {
			m.finished = true
			m.do(Finished{})
		}
		return
	}
	allReady, downs := true, 0
	for _, s := range m.slots {
		// A replacement that is on its way may bring the slot back.
		down := s.down && s.next == nil
		allReady = allReady && (down || s.current != nil && s.current.phase == ready)
		if down {
			downs++
		}
	}
	allDown := downs > 0 && downs == len(m.slots)
	allReady = allReady && !allDown
	if allReady && !m.wasReady {
		m.do(AllReady{Down: downs})
	}
	m.wasReady = allReady
	if allDown && !m.saidEmpty {
		m.do(AllDown{})
	}
	m.saidEmpty = allDown
}
