// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package supervise

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-cb702d51/tfork-go/prefork/internal/restart"
)

// stage drives a machine with a clock of its own and prints what it does.
type stage struct {
	*Machine
	t   testing.TB
	now time.Time
}

func newStage(t testing.TB, p Policy) *stage {
	limit := restart.Window{}
	if p.Limit != nil {
		limit = *p.Limit // the deaths of this stage are its own
	}
	p.Limit = &limit
	m := New(func(int) Policy { return p }, func() float64 { return 0 })
	return &stage{Machine: m, t: t, now: time.Unix(1000, 0)}
}

// on feeds an event and returns the actions in short words.
func (s *stage) on(e Event) string {
	return script(s.Handle(s.now, e))
}

// wait lets the clock run to the next deadline and returns how long that was
// and what happened then.
func (s *stage) wait() (time.Duration, string) {
	at, ok := s.Deadline()
	if !ok {
		s.t.Fatal("the machine waits for nothing")
	}
	d := max(0, at.Sub(s.now))
	s.now = s.now.Add(d)
	return d, s.on(Tick{})
}

func script(actions []Action) string {
	var words []string
	for _, a := range actions {
		words = append(words, word(a))
	}
	return strings.Join(words, ", ")
}

func word(a Action) string {
	switch a := a.(type) {
	case Spawn:
		kind := ""
		if a.Replaces {
			kind = "+"
		}
		if a.Fresh {
			kind = "*"
		}
		return fmt.Sprintf("spawn%s %d=%d", kind, a.Slot, a.Inc)
	case Promote:
		return fmt.Sprintf("promote %d=%d", a.Slot, a.Inc)
	case TellStop:
		return fmt.Sprintf("stop %d", a.Inc)
	case Abort:
		return fmt.Sprintf("abort %d", a.Inc)
	case Kill:
		return fmt.Sprintf("kill %d", a.Inc)
	case Gone:
		return fmt.Sprintf("gone %d", a.Inc)
	case Ended:
		return fmt.Sprintf("ended %d restart=%t", a.Inc, a.Decision.Restart)
	case Failed:
		return fmt.Sprintf("failed %d", a.Slot)
	case RolledBack:
		return fmt.Sprintf("rolled back reload=%t", a.Reload)
	case RolledOut:
		return fmt.Sprintf("rolled out reload=%t", a.Reload)
	}
	return strings.ToLower(strings.TrimPrefix(fmt.Sprintf("%T", a), "supervise."))
}

func died(inc Inc, code int) Event { return Exited{inc, restart.Outcome{Code: code}} }

// step is one event of a story, and what it must lead to.
type step struct {
	do   Event // nil: wait for the deadline
	wait time.Duration
	want string
}

const sec = time.Second

// stories is what can happen to a group, in short words.
var stories = []struct {
	name   string
	policy Policy
	steps  []step
}{
	{"a worker that dies is followed through the timer", Policy{Backoff: restart.Backoff{Increment: 5 * sec, Maximum: 10 * sec}}, []step{
		{Scale{2}, 0, "spawn 0=1, spawn 1=2"},
		{Ready{1}, 0, ""},
		{Ready{2}, 0, "allready"},
		{died(1, 127), 0, "ended 1 restart=true, gone 1"},
		{nil, 0, "spawn 0=3"},
		{Ready{3}, 0, "allready"},
		{died(3, 127), 0, "ended 3 restart=true, gone 3"},
		{nil, 5 * sec, "spawn 0=4"},
		{died(4, 127), 0, "ended 4 restart=true, gone 4"},
		{nil, 10 * sec, "spawn 0=5"},
		{died(2, 127), 0, "ended 2 restart=true, gone 2"}, // its own delay
		{nil, 0, "spawn 1=6"},
	}},
	{"a start that fails is a death", Policy{Backoff: restart.Backoff{Increment: sec, Maximum: sec}}, []step{
		{Scale{1}, 0, "spawn 0=1"},
		{Exited{1, restart.Outcome{Start: fmt.Errorf("no room")}}, 0, "ended 1 restart=true, gone 1"},
		{nil, 0, "spawn 0=2"},
		{Exited{2, restart.Outcome{Start: fmt.Errorf("no room")}}, 0, "ended 2 restart=true, gone 2"},
		{nil, sec, "spawn 0=3"},
	}},
	{"a lost status kills first", Policy{}, []step{
		{Scale{1}, 0, "spawn 0=1"},
		{Exited{1, restart.Outcome{Lost: true}}, 0, "kill 1, ended 1 restart=true, gone 1"},
		{nil, 0, "spawn 0=2"},
	}},
	{"exit 0 shrinks the pool for good", Policy{}, []step{
		{Scale{2}, 0, "spawn 0=1, spawn 1=2"},
		{died(2, 0), 0, "ended 2 restart=false, gone 2"},
		{died(1, 0), 0, "ended 1 restart=false, gone 1, alldown"},
		{Stop{}, 0, "stopping, finished"},
	}},
	{"who ended for good is not waited for", Policy{}, []step{
		{Scale{2}, 0, "spawn 0=1, spawn 1=2"},
		{died(1, 0), 0, "ended 1 restart=false, gone 1"},
		{Ready{2}, 0, "allready"},
	}},
	{"a fatal code fails the slot", Policy{FatalCodes: []int{3}}, []step{
		{Scale{1}, 0, "spawn 0=1"},
		{died(1, 3), 0, "ended 1 restart=false, failed 0, gone 1, alldown"},
	}},
	{"too many restarts fail the slot", Policy{Limit: &restart.Window{Limit: 2, Span: 10 * sec}}, []step{
		{Scale{1}, 0, "spawn 0=1"},
		{died(1, 1), 0, "ended 1 restart=true, gone 1"},
		{nil, 0, "spawn 0=2"},
		{died(2, 1), 0, "ended 2 restart=true, gone 2"},
		{nil, 0, "spawn 0=3"},
		{died(3, 1), 0, "ended 3 restart=false, failed 0, gone 3, alldown"},
	}},
	{"stop goes from the last to the first and is bounded", Policy{StopTimeout: 30 * sec}, []step{
		{Scale{3}, 0, "spawn 0=1, spawn 1=2, spawn 2=3"},
		{Stop{}, 0, "stopping, stop 3, stop 2, stop 1"},
		{died(2, 127), 0, "gone 2"},
		{nil, 30 * sec, "kill 1, kill 3"},
		{Exited{1, restart.Outcome{Signal: 9}}, 0, "gone 1"},
		{Exited{3, restart.Outcome{Signal: 9}}, 0, "gone 3, finished"},
		{Scale{9}, 0, ""},
		{Reload{}, 0, ""},
		{Stop{}, 0, ""},
	}},
	{"stop while a restart waits", Policy{}, []step{
		{Scale{1}, 0, "spawn 0=1"},
		{died(1, 1), 0, "ended 1 restart=true, gone 1"},
		{Stop{}, 0, "stopping, finished"},
	}},
	{"a hung worker is doubted, aborted, then killed", Policy{BeatTimeout: 30 * sec, AbortGrace: 5 * sec}, []step{
		{Scale{1}, 0, "spawn 0=1"},
		{Ready{1}, 0, "allready"},
		{nil, 20 * sec, ""},
		{nil, 10 * sec, "abort 1"},
		{nil, 5 * sec, "kill 1"},
		{Exited{1, restart.Outcome{Signal: 9}}, 0, "ended 1 restart=true, gone 1"},
		{nil, 0, "spawn 0=2"},
	}},
	{"a sign of life ends the doubt", Policy{BeatTimeout: 30 * sec, AbortGrace: 5 * sec}, []step{
		{Scale{1}, 0, "spawn 0=1"},
		{Ready{1}, 0, "allready"},
		{nil, 20 * sec, ""},
		{Beat{1}, 0, ""},
		{nil, 20 * sec, ""},
		{Beat{1}, 0, ""},
		{nil, 20 * sec, ""},
		{nil, 10 * sec, "abort 1"},
	}},
	{"who is watched and told to stop has the time of a stop", Policy{BeatTimeout: 30 * sec, StopTimeout: 7 * sec}, []step{
		{Scale{1}, 0, "spawn 0=1"},
		{Ready{1}, 0, "allready"},
		{Stop{}, 0, "stopping, stop 1"},
		{nil, 7 * sec, "kill 1"},
	}},
	{"a start without a limit is watched from its first sign of life", Policy{BeatTimeout: 30 * sec}, []step{
		{Scale{1}, 0, "spawn 0=1"},
		{Beat{1}, 0, ""},
		{nil, 20 * sec, ""},
		{nil, 10 * sec, "kill 1"},
	}},
	{"a start without a limit must give a sign of life", Policy{BeginTimeout: 60 * sec, AbortGrace: 5 * sec}, []step{
		{Scale{2}, 0, "spawn 0=1, spawn 1=2"},
		{Beat{1}, 0, ""},
		{nil, 60 * sec, "abort 2"},
		{died(2, 2), 0, "ended 2 restart=true, gone 2"},
		{nil, 0, "spawn 1=3"},
		{Beat{3}, 0, ""},
	}},
	{"a reload is all or nothing", Policy{}, []step{
		{Scale{2}, 0, "spawn 0=1, spawn 1=2"},
		{Ready{1}, 0, ""},
		{Ready{2}, 0, "allready"},
		{Reload{}, 0, "spawn* 0=3, spawn* 1=4"},
		{Ready{4}, 0, ""},
		{Ready{3}, 0, "promote 0=3, stop 1, promote 1=4, stop 2, rolled out reload=true"},
		{died(1, 0), 0, "gone 1"},
		{died(2, 1), 0, "gone 2"},
	}},
	{"a reload that does not come up changes nothing", Policy{ReplaceTimeout: 60 * sec}, []step{
		{Scale{2}, 0, "spawn 0=1, spawn 1=2"},
		{Ready{1}, 0, ""},
		{Ready{2}, 0, "allready"},
		{Reload{}, 0, "spawn* 0=3, spawn* 1=4"},
		{Ready{4}, 0, ""},
		{died(3, 1), 0, "kill 4, rolled back reload=true, gone 3"},
		{Exited{4, restart.Outcome{Signal: 9}}, 0, "gone 4"},
		{Reload{}, 0, "spawn* 0=5, spawn* 1=6"},
		{nil, 60 * sec, "kill 5, kill 6, rolled back reload=true"},
	}},
	{"a worker that dies during a reload comes back meanwhile", Policy{}, []step{
		{Scale{1}, 0, "spawn 0=1"},
		{Ready{1}, 0, "allready"},
		{Reload{}, 0, "spawn* 0=2"},
		{died(1, 1), 0, "ended 1 restart=true, gone 1"},
		{nil, 0, "spawn 0=3"},
		{Ready{2}, 0, "promote 0=2, stop 3, rolled out reload=true, allready"},
	}},
	{"a recycled worker serves until its replacement is ready", Policy{}, []step{
		{Scale{2}, 0, "spawn 0=1, spawn 1=2"},
		{Recycle{Inc: 2}, 0, ""}, // not ready yet
		{Ready{2}, 0, ""},
		{Recycle{Inc: 2}, 0, "spawn+ 1=3"},
		{Recycle{Inc: 2}, 0, ""},
		{Ready{3}, 0, "promote 1=3, stop 2, rolled out reload=false"},
		{Ready{1}, 0, "allready"},
	}},
	{"scaling keeps instance numbers", Policy{}, []step{
		{Scale{3}, 0, "spawn 0=1, spawn 1=2, spawn 2=3"},
		{Scale{1}, 0, "stop 2, stop 3"},
		{Scale{2}, 0, "spawn 1=4"},
		{died(2, 0), 0, "gone 2"},
		{Scale{-1}, 0, ""},
	}},
	{"scaling down leaves a reload whole", Policy{}, []step{
		{Scale{2}, 0, "spawn 0=1, spawn 1=2"},
		{Reload{}, 0, "spawn* 0=3, spawn* 1=4"},
		{Ready{3}, 0, ""},
		{Scale{1}, 0, "kill 4, stop 2, promote 0=3, stop 1, rolled out reload=true, allready"},
	}},
	{"nobody takes over just to leave", Policy{}, []step{
		{Scale{2}, 0, "spawn 0=1, spawn 1=2"},
		{Reload{}, 0, "spawn* 0=3, spawn* 1=4"},
		{Ready{4}, 0, ""},
		{Scale{0}, 0, "kill 3, stop 1, kill 4, stop 2, allready"},
	}},
	{"a replacement brings a slot back", Policy{}, []step{
		{Scale{1}, 0, "spawn 0=1"},
		{Ready{1}, 0, "allready"},
		{Recycle{Inc: 1}, 0, "spawn+ 0=2"},
		{died(1, 0), 0, "ended 1 restart=false, gone 1"},
		{Ready{2}, 0, "promote 0=2, rolled out reload=false, allready"},
		{died(2, 0), 0, "ended 2 restart=false, gone 2, alldown"},
	}},
	{"no worker at all", Policy{}, []step{
		{Scale{0}, 0, "allready"},
		{Stop{}, 0, "stopping, finished"},
	}},
	{"news of the dead changes nothing", Policy{}, []step{
		{Scale{1}, 0, "spawn 0=1"},
		{Ready{7}, 0, ""},
		{Beat{7}, 0, ""},
		{died(7, 1), 0, ""},
		{Recycle{Inc: 7}, 0, ""},
	}},
}

func TestMachine_Stories(t *testing.T) {
	for _, tt := range stories {
		t.Run(tt.name, func(t *testing.T) {
			s := newStage(t, tt.policy)
			for i, step := range tt.steps {
				var got string
				var waited time.Duration
				if step.do == nil {
					waited, got = s.wait()
				} else {
					got = s.on(step.do)
				}
				if diff := cmp.Diff(step.want, got); diff != "" || waited != step.wait {
					t.Fatalf("step %d (%T): waited %v, want %v; actions (-want +got):\n%s", i, step.do, waited, step.wait, diff)
				}
			}
		})
	}
}

// TestMachine_APauseAbortsNobody: when the machine itself has not run for longer
// than anybody may be silent, nobody is hung by that; who stays silent is.
func TestMachine_APauseAbortsNobody(t *testing.T) {
	for name, begin := range map[string]Event{"ready": Ready{1}, "starting": Beat{1}} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, Policy{BeatTimeout: 30 * sec, AbortGrace: 5 * sec})
			s.on(Scale{2})
			s.on(begin)
			s.on(Ready{2})
			s.now = s.now.Add(time.Hour)
			if got := s.on(Tick{}); got != "" {
				t.Fatalf("after the pause: %s", got)
			}
			s.on(Beat{2})
			if d, got := s.wait(); d != 10*sec || got != "abort 1" {
				t.Errorf("%s after %v, want only the one that stays silent, after 10 s", got, d)
			}
		})
	}
}

// TestMachine_ReloadWatchesByTheNewPolicy: the new processes give their signs of
// life as the new policy says, also while they wait for each other.
func TestMachine_ReloadWatchesByTheNewPolicy(t *testing.T) {
	p := Policy{Limit: &restart.Window{}, BeatTimeout: 3 * sec, AbortGrace: sec, StopTimeout: 5 * sec}
	m := New(func(int) Policy { return p }, half)
	now := time.Unix(1000, 0)
	for _, e := range []Event{Scale{2}, Ready{1}, Ready{2}} {
		m.Handle(now, e)
	}
	p.BeatTimeout, p.StopTimeout = 60*sec, 50*sec
	for _, e := range []Event{Reload{}, Ready{3}, Beat{3}} {
		m.Handle(now, e)
	}
	now = now.Add(30 * sec)
	m.Handle(now, Beat{1})
	m.Handle(now, Beat{2})
	if got := script(m.Handle(now, Tick{})); got != "" {
		t.Errorf("while one waits for the other: %s", got)
	}
	m.Handle(now, Ready{4})
	// Those that are told to leave have the time that they were started with.
	if at, _ := m.Deadline(); at.Sub(now) != 5*sec {
		t.Errorf("the old ones get %v to leave", at.Sub(now))
	}
	m.Handle(now, died(1, 0))
	m.Handle(now, died(2, 0))
	if at, _ := m.Deadline(); at.Sub(now) != 10*sec { // of process 3, heard of 30 s ago
		t.Errorf("the next doubt comes after %v", at.Sub(now))
	}
}

// TestMachine_ReloadHasThePatienceOfTheNewPolicy: what comes may need longer.
func TestMachine_ReloadHasThePatienceOfTheNewPolicy(t *testing.T) {
	p := Policy{Limit: &restart.Window{}, ReplaceTimeout: 10 * time.Second}
	m := New(func(int) Policy { return p }, half)
	now := time.Unix(1000, 0)
	m.Handle(now, Scale{1})
	m.Handle(now, Ready{1})
	p.ReplaceTimeout = 60 * time.Second
	m.Handle(now, Reload{})
	if at, _ := m.Deadline(); at.Sub(now) != p.ReplaceTimeout {
		t.Errorf("the new process gets %v, want %v", at.Sub(now), p.ReplaceTimeout)
	}
}
