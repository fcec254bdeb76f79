// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package supervise

import (
	"slices"
	"time"

	"github.com/seed-cb702d51/tfork-go/prefork/internal/restart"
)

// roll is one exchange of processes for fresh ones: all of the group (reload)
// or one (recycle). It happens for all of its slots together or for none.
type roll struct {
	reload bool
	slots  []*slot
	why    string // what the old processes are told
}

// reload starts a replacement beside each slot's process. A running reload or
// recycle is given up first: the newest wish counts.
func (m *Machine) reload() {
	if m.stopped || len(m.slots) == 0 {
		return
	}
	for len(m.rolls) > 0 {
		m.rollBack(m.rolls[0], "a new reload began")
	}
	m.begin(&roll{reload: true, slots: m.order(), why: "replaced by a new process"})
}

// recycle starts a replacement beside one process. It is ignored if one is
// already on its way; the process will ask again.
func (m *Machine) recycle(e Recycle) {
	p := m.procs[e.Inc]
	if m.stopped || p == nil || p.phase != ready || p != p.slot.current || p.slot.next != nil {
		return
	}
	m.begin(&roll{slots: []*slot{p.slot}, why: "replaced after " + e.Reason})
}

// begin makes all records before it asks for the first start: a start that
// fails must find its exchange.
func (m *Machine) begin(r *roll) {
	m.rolls = append(m.rolls, r)
	for _, s := range r.slots {
		policy := s.policy
		if r.reload {
			policy = m.policy(s.number) // the new program's
		}
		s.next = m.spawn(s, policy, policy.ReplaceTimeout)
	}
	for _, s := range r.slots {
		m.do(Spawn{Slot: s.number, Inc: s.next.inc, Replaces: true, Fresh: r.reload})
	}
}

// rollOf finds the exchange that p is a replacement in.
func (m *Machine) rollOf(p *proc) *roll {
	for _, r := range m.rolls {
		if slices.Contains(r.slots, p.slot) {
			return r
		}
	}
	return nil
}

// advance takes over with all replacements once the last one is ready.
func (m *Machine) advance(r *roll) {
	if r == nil || slices.ContainsFunc(r.slots, func(s *slot) bool { return s.next == nil || s.next.phase != ready }) {
		return
	}
	m.drop(r)
	for _, s := range r.slots {
		m.takeOver(s, r)
	}
	m.do(RolledOut{Reload: r.reload})
}

// takeOver gives the slot to its replacement, and only then tells the old
// process to stop.
func (m *Machine) takeOver(s *slot, r *roll) {
	old := s.current
	s.current, s.next = s.next, nil
	s.restartAt, s.down = time.Time{}, false
	if r.reload {
		// Another program, another history.
		s.chain, s.policy = restart.Chain{}, s.current.policy
	}
	m.do(Promote{Slot: s.number, Inc: s.current.inc})
	if old != nil {
		m.tell(old, r.why)
	}
}

// rollBack gives up an exchange: the old processes stay as they are.
func (m *Machine) rollBack(r *roll, reason string) {
	if r == nil {
		return
	}
	m.drop(r)
	for _, s := range r.slots {
		if s.next != nil {
			m.abandon(s.next, reason)
		}
	}
	m.do(RolledBack{Reload: r.reload, Reason: reason})
}

// leave takes a removed slot out of its exchange. Without slots that is over,
// and nobody was exchanged.
func (m *Machine) leave(r *roll, s *slot) {
	r.slots = slices.DeleteFunc(r.slots, func(other *slot) bool { return other == s })
	if len(r.slots) == 0 {
		m.drop(r)
	}
}

// abandon ends a replacement that will not be needed. It has served nobody
// yet, so it need not be asked.
func (m *Machine) abandon(p *proc, reason string) {
	p.slot.next = nil
	m.kill(p, reason)
}

// drop forgets an exchange that is over, either way.
func (m *Machine) drop(r *roll) {
	m.rolls = slices.DeleteFunc(m.rolls, func(other *roll) bool { return other == r })
}
