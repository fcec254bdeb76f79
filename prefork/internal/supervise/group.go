// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package supervise

import (
	"time"

	"github.com/seed-cb702d51/tfork-go/prefork/internal/restart"
)

// Process is what a [Group] needs of a process that its owner started. All
// calls come from the group's goroutine and must not block for long.
type Process interface {
	// TellStop asks it to finish and leave.
	TellStop(reason string)
	// Abort sends SIGABRT.
	Abort(reason string)
	// Kill ends it and all it started.
	Kill(reason string)
	// Gone says that it will not be used any more.
	Gone()
}

// Owner is who has a [Group]: the supervisor or a master.
type Owner interface {
	// Start starts a process. It, or a goroutine that it starts, posts what
	// happens to the process. An error counts as a death.
	Start(Spawn) (Process, error)
	// Promote gives the process the slot's name.
	Promote(slot int, p Process)
	// Notice is told of every other action. p is the process of an [Ended].
	Notice(a Action, p Process)
}

// Group does what a [Machine] decides: an actor, whose state only its own
// goroutine touches.
type Group struct {
	machine *Machine
	owner   Owner
	procs   map[Inc]Process
	events  chan any
	next    []Event // to be handled before any other
	done    chan struct{}
}

// NewGroup returns a group that waits for [Group.Run].
func NewGroup(m *Machine, o Owner) *Group {
	return &Group{machine: m, owner: o, procs: map[Inc]Process{}, events: make(chan any, 64), done: make(chan struct{})}
}

// Post hands an event to the group. It may block while the group is busy, and
// does nothing after the group has finished. The owner's own methods must not
// call it: they run in the group's goroutine.
func (g *Group) Post(e Event) { g.send(e) }

// Do runs f in the group's goroutine, at its turn.
func (g *Group) Do(f func()) { g.send(f) }

// Follow is [Group.Post] for the group's own goroutine, as [Group.Processes]: the
// event comes right after what is being done, in the order of the calls.
func (g *Group) Follow(e Event) { g.next = append(g.next, e) }

// send gives up when there is nobody left to receive.
func (g *Group) send(what any) {
	select {
	case g.events <- what:
	case <-g.done:
	}
}

// Done is closed when the group has finished.
func (g *Group) Done() <-chan struct{} { return g.done }

// Run starts count processes and works until the group was stopped and all
// processes are gone.
func (g *Group) Run(count int) {
	defer close(g.done)
	timer := time.NewTimer(0)
	defer timer.Stop()
	g.Follow(Scale{Count: count})
	for finished := g.work(); !finished; finished = g.work() {
		at, ok := g.machine.Deadline()
		timer.Stop()
		var due <-chan time.Time
		if ok {
			timer.Reset(time.Until(at))
			due = timer.C
		}
		select {
		case what := <-g.events:
			if f, ok := what.(func()); ok {
				f()
			} else {
				g.Follow(what)
			}
		case <-due:
			g.Follow(Tick{})
		}
	}
}

// work handles the events that are next, and those that follow from them.
func (g *Group) work() (finished bool) {
	for len(g.next) > 0 {
		e := g.next[0]
		g.next = g.next[1:]
		for _, a := range g.machine.Handle(time.Now(), e) {
			if _, ok := a.(Finished); ok {
				finished = true
			}
			if failure := g.act(a); failure != nil {
				g.Follow(failure)
			}
		}
	}
	return finished
}

// act does one action. A start that failed is an event.
func (g *Group) act(a Action) (failure Event) {
	switch a := a.(type) {
	case Spawn:
		p, err := g.owner.Start(a)
		if err != nil {
			return Exited{Inc: a.Inc, Outcome: restart.Outcome{Start: err}}
		}
		g.procs[a.Inc] = p
	case Promote:
		g.with(a.Inc, func(p Process) { g.owner.Promote(a.Slot, p) })
	case TellStop:
		g.with(a.Inc, func(p Process) { p.TellStop(a.Reason) })
	case Abort:
		g.with(a.Inc, func(p Process) { p.Abort(a.Reason) })
	case Kill:
		g.with(a.Inc, func(p Process) { p.Kill(a.Reason) })
	case Gone:
		g.with(a.Inc, Process.Gone)
		delete(g.procs, a.Inc)
	case Ended:
		g.owner.Notice(a, g.procs[a.Inc])
	default:
		g.owner.Notice(a, nil)
	}
	return nil
}

// with calls f unless the process is gone, or was never there: a start that
// failed has a number too.
func (g *Group) with(inc Inc, f func(Process)) {
	if p := g.procs[inc]; p != nil {
		f(p)
	}
}

// Processes calls f for each live process, oldest first. It belongs in the
// group's goroutine: call it from the owner's methods or in [Group.Do].
func (g *Group) Processes(f func(Process)) {
	for _, inc := range g.machine.Live() {
		g.with(inc, f)
	}
}

// Holder returns the process that holds a slot, or nil. As [Group.Processes].
func (g *Group) Holder(slot int) Process {
	if s := g.machine.slots[slot]; s != nil && s.current != nil {
		return g.procs[s.current.inc]
	}
	return nil
}

// Count is the number of slots. As [Group.Processes].
func (g *Group) Count() int { return g.machine.Count() }
