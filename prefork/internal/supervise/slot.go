// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package supervise

import (
	"cmp"
	"slices"
	"time"

	"github.com/seed-cb702d51/tfork-go/prefork/internal/restart"
)

// scale adds slots at the end, or retires those at the end: an instance number
// means the same instance for ever.
func (m *Machine) scale(count int) {
	if m.stopped || count < 0 {
		return
	}
	for _, s := range m.order() {
		if s.number >= count {
			m.remove(s)
		}
	}
	// The rest of an exchange goes on without the slots that have left it; all
	// of them have by now, so that none takes over just to leave.
	for _, r := range slices.Clone(m.rolls) {
		m.advance(r)
	}
	for n := range count {
		if m.slots[n] == nil {
			s := &slot{number: n, policy: m.policy(n)}
			m.slots[n] = s
			m.start(s)
		}
	}
	m.wasReady = false
}

// remove gives up a slot; its processes leave in their own time.
func (m *Machine) remove(s *slot) {
	delete(m.slots, s.number)
	s.restartAt = time.Time{}
	if s.next != nil {
		m.leave(m.rollOf(s.next), s)
		m.abandon(s.next, "fewer workers wanted")
	}
	if p := s.current; p != nil {
		s.current = nil
		m.tell(p, "fewer workers wanted")
	}
}

// start starts the process that holds the slot at once.
func (m *Machine) start(s *slot) {
	s.restartAt = time.Time{}
	s.current = m.spawn(s, s.policy, cmp.Or(s.policy.ReadyTimeout, s.policy.BeginTimeout))
	m.do(Spawn{Slot: s.number, Inc: s.current.inc})
}

// spawn makes the record of a new process; the caller says what for.
func (m *Machine) spawn(s *slot, policy Policy, patience Duration) *proc {
	m.last++
	p := &proc{inc: m.last, slot: s, policy: policy, started: m.now, by: m.after(patience)}
	m.procs[p.inc] = p
	return p
}

// exited takes a process off the books and decides what its end means: for a
// replacement the end of the exchange, for who holds a slot a succession, for
// all others nothing.
func (m *Machine) exited(e Exited) {
	p := m.procs[e.Inc]
	if p == nil {
		return
	}
	if e.Outcome.Lost {
		// It may live on: kill it before there is a successor, not after.
		m.do(Kill{Inc: p.inc, Reason: "its status is not available"})
	}
	delete(m.procs, e.Inc)
	s := p.slot
	switch p {
	case s.next:
		s.next = nil
		m.rollBack(m.rollOf(p), "the new process ended: "+e.Outcome.String())
	case s.current:
		s.current = nil
		if !m.stopped {
			m.succession(s, p, e.Outcome)
		}
	}
	m.do(Gone{Inc: p.inc})
}

// succession decides what follows the unasked end of a slot's process.
func (m *Machine) succession(s *slot, p *proc, o restart.Outcome) {
	d := restart.Decide(o, s.policy.FatalCodes)
	ended := Ended{Slot: s.number, Inc: p.inc, Outcome: o, Decision: d}
	switch {
	case !d.Restart:
		s.down = true
		m.do(ended)
		if d.Fatal {
			m.do(Failed{Slot: s.number, Reason: o.String() + " means: do not restart"})
		}
	case s.policy.Limit.Died(m.now):
		s.down = true
		ended.Decision.Restart = false
		m.do(ended)
		m.do(Failed{Slot: s.number, Reason: "too many restarts, the last after " + o.String()})
	default:
		ended.Wait = s.chain.Died(s.policy.Backoff, m.now.Sub(p.started), m.random())
		// No wait goes through the timer too: the first restart and all later
		// ones take the same road.
		s.restartAt = m.now.Add(ended.Wait)
		m.do(ended)
	}
}

// becameReady counts only once, and not for a process that was told to leave
// meanwhile.
func (m *Machine) becameReady(inc Inc) {
	p := m.procs[inc]
	if p == nil || p.phase != starting {
		return
	}
	p.phase = ready
	m.heard(p)
	if p == p.slot.next {
		m.advance(m.rollOf(p))
	}
}

// beat moves the deadline of a process that is watched. One that is leaving or
// being ended has a deadline of another kind, which no sign of life moves.
func (m *Machine) beat(inc Inc) {
	p := m.procs[inc]
	if p == nil {
		return
	}
	watched := p.phase == starting && p == p.slot.current && p.policy.ReadyTimeout <= 0
	if p.phase == ready || watched {
		m.heard(p)
	}
}

// heard gives a process time to its next sign of life, in two parts: when the
// first ends in silence the process is doubted, and only then the second begins.
// When everybody was paused (a frozen container, a stopped virtual machine) the
// whole time may have passed for a process that could do nothing; the second part
// passes while the machine runs, and so do the others.
func (m *Machine) heard(p *proc) {
	timeout := p.policy.BeatTimeout
	p.rest = timeout / 3
	p.by = m.after(timeout - p.rest)
}

// doubt begins the second part, unless the process has used it up, or has not
// been watched so far.
func (m *Machine) doubt(p *proc) bool {
	if p.rest <= 0 || p.phase > ready {
		return false
	}
	p.by, p.rest = m.after(p.rest), 0
	return true
}

// stop ends everything, the youngest slot first.
func (m *Machine) stop(reason string) {
	if m.stopped {
		return
	}
	m.stopped = true
	m.rolls = nil
	m.do(Stopping{})
	slots := m.order()
	for i := len(slots) - 1; i >= 0; i-- {
		s := slots[i]
		s.restartAt = time.Time{}
		for _, p := range []*proc{s.next, s.current} {
			if p != nil {
				m.tell(p, reason)
			}
		}
	}
}

// tell asks a process to leave, unless stronger means are already in use.
func (m *Machine) tell(p *proc, reason string) {
	if p.phase >= stopping {
		return
	}
	p.phase, p.by = stopping, m.after(p.policy.StopTimeout)
	m.do(TellStop{Inc: p.inc, Reason: reason})
}

// tick does everything whose time has come.
func (m *Machine) tick() {
	for _, inc := range m.Live() {
		if p := m.procs[inc]; p != nil && due(p.by, m.now) {
			m.overdue(p)
		}
	}
	for _, s := range m.order() {
		if due(s.restartAt, m.now) {
			m.start(s)
		}
	}
}

// overdue goes one step further with a process that did not do in time what
// its phase asks for.
func (m *Machine) overdue(p *proc) {
	if m.doubt(p) {
		return
	}
	switch p.phase {
	case starting:
		if p == p.slot.next {
			m.rollBack(m.rollOf(p), "the new process was not ready in time")
			return
		}
		m.abort(p, "neither ready nor a sign of life in time")
	case ready:
		m.abort(p, "no sign of life in time")
	case stopping:
		m.kill(p, "did not stop in time")
	case aborting:
		m.kill(p, "did not end by SIGABRT in time")
	}
}

// abort is the first step against a hung process: Go prints all its stacks at
// SIGABRT. Without a grace there is no such step.
func (m *Machine) abort(p *proc, reason string) {
	if p.policy.AbortGrace <= 0 {
		m.kill(p, reason)
		return
	}
	p.phase, p.by = aborting, m.after(p.policy.AbortGrace)
	m.do(Abort{Inc: p.inc, Reason: reason})
}

// kill is the last step: there is nothing left to wait for but the end itself.
func (m *Machine) kill(p *proc, reason string) {
	p.phase, p.by = killed, time.Time{}
	m.do(Kill{Inc: p.inc, Reason: reason})
}

// due tells whether a time that was set has come.
func due(at, now time.Time) bool { return !at.IsZero() && !at.After(now) }
