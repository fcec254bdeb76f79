// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package supervise

import (
	"cmp"
	"slices"
	"time"

	"pgregory.net/rapid"

	"github.com/seed-cb702d51/tfork-go/prefork/internal/restart"
)

// world is the model: what the events and actions so far say exists, and so what
// the machine has to do next, and what it must not.
type world struct {
	t      *rapid.T
	policy Policy
	now    time.Time
	seen   Inc

	live     map[Inc]*member
	places   map[int]*place
	deaths   []time.Time // those that brought a restart, of all places
	stopped  bool
	finished int
	// What was said of the whole group, and nothing has changed since.
	ready, down bool
}

// member is a process.
type member struct {
	slot  int
	phase phase
	by    time.Time // when its phase must be over; zero is never
	fresh bool      // it was started by a reload
	// rest is what it gets once more when by has come: it was heard of, and
	// has not been doubted since.
	rest time.Duration
}

// place is a slot.
type place struct {
	holder, next Inc       // 0: none
	due          time.Time // of the holder's successor; zero: none is planned
	down         bool
	deaths       int // how many restarts there were
}

// on hands an event to the machine, and holds what it does against the model.
func (w *world) on(m *Machine, e Event) {
	if _, ok := e.(Tick); ok {
		w.doubt()
	}
	before := w.overdue()
	if s, ok := e.(Scale); ok && !w.stopped {
		w.scale(s.Count)
	}
	stops := !w.stopped && e == Stop{}
	w.stopped = w.stopped || stops
	w.learn(e)
	actions := m.Handle(w.now, e)
	if said := slices.Index(actions, Action(Stopping{})); stops != (said == 0) {
		w.t.Fatalf("that nothing will be started is said as number %d of %v", said, actions)
	}
	for _, a := range actions {
		w.apply(a)
	}
	if x, ok := e.(Exited); ok {
		w.exited(x, actions)
	}
	if _, ok := e.(Tick); ok {
		w.ticked(before)
	}
	w.summary(actions)
	w.check()
}

// learn enters what a process says of itself.
func (w *world) learn(e Event) {
	switch e := e.(type) {
	case Ready:
		if p := w.live[e.Inc]; p != nil && p.phase == starting {
			p.phase = ready
			w.heard(p)
		}
	case Beat:
		p := w.live[e.Inc]
		if p != nil && (p.phase == ready || p.phase == starting && w.policy.ReadyTimeout == 0 && w.places[p.slot].holder == e.Inc) {
			w.heard(p)
		}
	}
}

// heard: two thirds of the time to the next sign of life pass before a doubt.
func (w *world) heard(p *member) {
	p.by, p.rest = w.now.Add(w.policy.BeatTimeout*2/3), w.policy.BeatTimeout/3
}

// doubt: the last third begins when the machine sees that the others are over.
func (w *world) doubt() {
	for _, p := range w.live {
		if p.phase <= ready && p.rest > 0 && due(p.by, w.now) {
			p.by, p.rest = w.now.Add(p.rest), 0
		}
	}
}

func (w *world) after(d time.Duration) time.Time {
	if d == 0 {
		return time.Time{}
	}
	return w.now.Add(d)
}

func (w *world) scale(count int) {
	w.ready = false
	for n := range w.places {
		if n >= count {
			delete(w.places, n)
		}
	}
	for n := range count {
		if w.places[n] == nil {
			w.places[n] = &place{due: w.now}
		}
	}
}

// overdue are the processes whose time is up, and the phase it is up for.
func (w *world) overdue() map[Inc]phase {
	late := map[Inc]phase{}
	for inc, p := range w.live {
		if due(p.by, w.now) {
			late[inc] = p.phase
		}
	}
	return late
}

// apply does what the machine wants, if there is a reason for it.
func (w *world) apply(a Action) {
	switch a := a.(type) {
	case Spawn:
		w.spawn(a)
	case Promote:
		w.promote(a)
	case TellStop:
		p := w.member(a.Inc, stopping, w.policy.StopTimeout)
		if pl := w.places[p.slot]; !w.stopped && pl != nil && (pl.holder == a.Inc || pl.next == a.Inc) {
			w.t.Fatalf("process %d of slot %d was told to leave, and nothing takes its place", a.Inc, p.slot)
		}
	case Abort:
		if p := w.live[a.Inc]; p == nil || !due(p.by, w.now) || p.phase > ready {
			w.t.Fatalf("process %d was aborted, and was in time: %+v", a.Inc, p)
		}
		w.member(a.Inc, aborting, w.policy.AbortGrace)
	case Kill:
		w.kill(a.Inc)
	case Gone:
		if w.live[a.Inc] != nil {
			w.t.Fatalf("process %d called gone while it lives", a.Inc)
		}
	case Finished:
		w.finished++
	}
}

// member moves a process to its next phase.
func (w *world) member(inc Inc, to phase, patience time.Duration) *member {
	p := w.live[inc]
	if p == nil || p.phase >= to {
		w.t.Fatalf("process %d cannot enter phase %d: %+v", inc, to, p)
	}
	p.phase, p.by = to, w.after(patience)
	return p
}

func (w *world) spawn(a Spawn) {
	pl := w.places[a.Slot]
	switch {
	case a.Inc <= w.seen:
		w.t.Fatalf("number %d used again", a.Inc)
	case w.stopped || pl == nil:
		w.t.Fatalf("a process was started for slot %d, which is not wanted", a.Slot)
	case a.Replaces && pl.next != 0, !a.Replaces && pl.holder != 0:
		w.t.Fatalf("slot %d is taken: %+v", a.Slot, pl)
	case !a.Replaces && !due(pl.due, w.now):
		w.t.Fatalf("slot %d was filled, and it is not time: %+v", a.Slot, pl)
	}
	w.seen = a.Inc
	p := &member{slot: a.Slot, by: w.after(cmp.Or(w.policy.ReadyTimeout, w.policy.BeginTimeout)), fresh: a.Fresh}
	if a.Replaces {
		p.by = w.after(w.policy.ReplaceTimeout)
		pl.next = a.Inc
	} else {
		pl.holder, pl.due = a.Inc, time.Time{}
	}
	w.live[a.Inc] = p
}

func (w *world) promote(a Promote) {
	pl, p := w.places[a.Slot], w.live[a.Inc]
	if pl == nil || pl.next != a.Inc || p.phase != ready {
		w.t.Fatalf("process %d promoted in slot %d: %+v, %+v", a.Inc, a.Slot, pl, p)
	}
	for inc, other := range w.live {
		if p.fresh && other.fresh && w.next(inc) && other.phase != ready {
			w.t.Fatalf("process %d of a reload promoted before process %d was ready", a.Inc, inc)
		}
	}
	*pl = place{holder: a.Inc, deaths: pl.deaths}
	if p.fresh {
		pl.deaths = 0
	}
}

// next tells whether a process is a replacement that is still wanted.
func (w *world) next(inc Inc) bool {
	pl := w.places[w.live[inc].slot]
	return pl != nil && pl.next == inc
}

// kill: whoever has not left in time, and replacements, that serve nobody yet.
func (w *world) kill(inc Inc) {
	p := w.live[inc]
	if p == nil {
		return // its status is lost: see exited
	}
	pl := w.places[p.slot]
	if late := p.phase >= stopping && due(p.by, w.now); !late && pl != nil && pl.holder == inc {
		w.t.Fatalf("process %d of slot %d was killed, and was in time: %+v", inc, p.slot, p)
	}
	if pl != nil && pl.next == inc {
		pl.next = 0
	}
	w.member(inc, killed, 0)
}

// exited holds what follows from an end against the reference: its table of
// decisions, its delays, the limit.
func (w *world) exited(e Exited, actions []Action) {
	gone := slices.Index(actions, Action(Gone{e.Inc}))
	if gone < 0 {
		w.t.Fatalf("nobody was told that process %d is gone", e.Inc)
	}
	isKill := func(a Action) bool { k, ok := a.(Kill); return ok && k.Inc == e.Inc }
	if killed := slices.IndexFunc(actions, isKill); e.Outcome.Lost && (killed < 0 || killed > gone) {
		w.t.Fatalf("process %d, which may live, was not killed before its successor", e.Inc)
	}
	var ended *Ended
	for _, a := range actions {
		if x, ok := a.(Ended); ok {
			ended = &x
		}
	}
	for n, pl := range w.places {
		if pl.next == e.Inc {
			pl.next = 0
		}
		if pl.holder != e.Inc {
			continue
		}
		pl.holder = 0
		if !w.stopped {
			w.succession(n, pl, e, ended, actions)
			return
		}
	}
	if ended != nil {
		w.t.Fatalf("the end of process %d was asked for: %+v", e.Inc, ended)
	}
}

func (w *world) succession(slot int, pl *place, e Exited, ended *Ended, actions []Action) {
	restarts := e.Outcome.Lost || e.Outcome.Signal == 11
	failed := e.Outcome.Code == 3
	if restarts {
		w.deaths = append(w.deaths, w.now)
		lately := 0
		for _, at := range w.deaths {
			if w.now.Sub(at) < w.policy.Limit.Span {
				lately++
			}
		}
		failed = w.policy.Limit.Limit > 0 && lately > w.policy.Limit.Limit
		restarts = !failed
	}
	if ended == nil || ended.Slot != slot || ended.Inc != e.Inc || ended.Decision.Restart != restarts {
		w.t.Fatalf("process %d of slot %d ended with %v: %+v, want a restart: %v", e.Inc, slot, e.Outcome, ended, restarts)
	}
	isFailed := func(a Action) bool { f, ok := a.(Failed); return ok && f.Slot == slot }
	if slices.ContainsFunc(actions, isFailed) != failed {
		w.t.Fatalf("slot %d given up: %v, want %v", slot, !failed, failed)
	}
	if pl.down = !restarts; pl.down {
		return
	}
	wait := min(time.Duration(pl.deaths)*w.policy.Backoff.Increment, w.policy.Backoff.Maximum)
	wait += time.Duration(float64(wait) * w.policy.Backoff.Jitter * half())
	if ended.Wait != wait {
		w.t.Fatalf("restart %d of slot %d waits %v, want %v", pl.deaths+1, slot, ended.Wait, wait)
	}
	pl.deaths++
	pl.due = w.now.Add(wait)
}

// ticked: whose time was up has come one step further, and whoever was due is
// there.
func (w *world) ticked(late map[Inc]phase) {
	for inc, was := range late {
		if p := w.live[inc]; p.phase == was {
			w.t.Fatalf("nothing happens to process %d, whose time is up: %+v", inc, p)
		}
	}
	for n, pl := range w.places {
		if due(pl.due, w.now) && !w.stopped {
			w.t.Fatalf("slot %d is still empty: %+v", n, pl)
		}
	}
}

// summary: that all are ready, and that all are down, is said when it comes to
// be so.
func (w *world) summary(actions []Action) {
	allReady, allDown, downs := !w.stopped, !w.stopped && len(w.places) > 0, 0
	for _, pl := range w.places {
		holder := w.live[pl.holder]
		gone := pl.down && pl.next == 0
		allReady = allReady && (gone || holder != nil && holder.phase == ready)
		allDown = allDown && gone
		if gone {
			downs++
		}
	}
	allReady = allReady && !allDown
	said := func(a Action) bool { return slices.Contains(actions, a) }
	if want := allReady && !w.ready; said(AllReady{Down: downs}) != want {
		w.t.Fatalf("all are ready: said %v, want %v", !want, want)
	}
	if want := allDown && !w.down; said(AllDown{}) != want {
		w.t.Fatalf("all are down: said %v, want %v", !want, want)
	}
	if !w.stopped {
		w.ready, w.down = allReady, allDown
	}
}

// check holds between all events.
func (w *world) check() {
	var waiting, unready int
	for inc, p := range w.live {
		pl := w.places[p.slot]
		holds, next := pl != nil && pl.holder == inc, pl != nil && pl.next == inc
		if (w.stopped || !holds && !next) && p.phase < stopping {
			w.t.Fatalf("process %d of slot %d has no place, and was not told to leave: %+v", inc, p.slot, p)
		}
		switch {
		case w.stopped || !next:
		case p.fresh && p.phase != ready:
			unready++
		case p.fresh:
			waiting++
		case p.phase == ready:
			w.t.Fatalf("process %d is ready, and does not replace that of slot %d", inc, p.slot)
		}
	}
	if waiting > 0 && unready == 0 {
		w.t.Fatalf("all %d processes of a reload are ready, and replace none", waiting)
	}
	for n, pl := range w.places {
		if !w.stopped && pl.holder == 0 && pl.due.IsZero() && !pl.down {
			w.t.Fatalf("slot %d is empty for ever: %+v", n, pl)
		}
	}
	if want := w.stopped && len(w.live) == 0; w.finished > 1 || (w.finished == 1) != want {
		w.t.Fatalf("finished %d times with %d processes alive, stopped %v", w.finished, len(w.live), w.stopped)
	}
}

// die ends one of the live processes.
func (w *world) die(m *Machine, inc Inc, o restart.Outcome) {
	if inc != 0 {
		delete(w.live, inc)
		w.on(m, Exited{inc, o})
	}
}
