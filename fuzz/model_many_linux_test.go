// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package fuzz

import (
	"errors"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"github.com/seed-cb702d51/tfork-go/tfork"
)

// reply is what a call said that ran against others. The times are ticks of the
// burst's clock: of two calls the one was first that returned before the other
// began; between others anything goes.
type reply struct {
	call     string
	from, to int64
	status   tfork.Status
	err      error
	closed   bool     // Done was
	lent     error    // what a signal 0 through the lent handle said
	event    *os.File // EventFD gave it
	started  *model
}

// What a burst is drawn from. What leaves the worker alive stands alone too: else
// most would be about dead ones.
var (
	burstPeaceful = []string{"event", "signal 0", "continue", "status", "status", "done", "handle"}
	burstAll      = append([]string{"event", "kill", "terminate", "destroy", "destroy", "wait", "wait", "status", "handle"}, burstPeaceful...)
)

// fatalSignals are those calls that may end the worker.
var fatalSignals = map[string]syscall.Signal{"kill": unix.SIGKILL, "terminate": unix.SIGTERM, "destroy": unix.SIGKILL}

// burst is several goroutines, each of which makes some calls.
type burst struct {
	m      *model
	tracks [][]string
	code   int // the worker is told that where it has to end
	clock  atomic.Int64
	mu     sync.Mutex
	got    []reply
}

// manyAtOnce runs calls against each other. All is drawn before, and nothing
// depends on what they say: a sequence of draws has one length.
func (m *model) manyAtOnce(t *rapid.T) {
	kinds := rapid.SampledFrom([][]string{burstAll, burstAll, burstPeaceful}).Draw(t, "kinds")
	b := &burst{
		m:      m,
		tracks: rapid.SliceOfN(rapid.SliceOfN(rapid.SampledFrom(kinds), 1, 3), 2, 6).Draw(t, "calls"),
		code:   rapid.IntRange(0, 255).Draw(t, "code"),
	}
	if rapid.IntRange(0, 3).Draw(t, "event fd for all") == 3 {
		b.tracks = slices.Concat([][]string{{"event"}, {"event"}, {"event"}, {"event"}}, b.tracks)
	}
	if rapid.IntRange(0, 5).Draw(t, "release too") == 5 {
		b.tracks = append(b.tracks, []string{"release"})
	}
	if rapid.IntRange(0, 7).Draw(t, "start too") == 7 {
		b.tracks = append(b.tracks, []string{"start"})
	}
	if rapid.IntRange(0, 59).Draw(t, "kill waiter too") == 59 {
		b.tracks = append(b.tracks, []string{"kill waiter"}, []string{"start"})
	}
	b.run()
	b.judge()
}

// run returns when all goroutines are done. Those that wait for the worker get
// its end, if the others have not brought it about.
func (b *burst) run() {
	var quick, slow sync.WaitGroup
	if b.has("kill waiter") {
		b.m.crew.fear()
	}
	begin := make(chan struct{})
	for _, track := range b.tracks {
		group := &quick
		if slices.Contains(track, "wait") {
			group = &slow
		}
		group.Go(func() {
			<-begin
			for _, call := range track {
				b.call(call)
			}
		})
	}
	close(begin)
	quick.Wait()
	if b.has("wait") {
		b.m.end(b.code)
		b.m.raw(unix.SIGCONT)
	}
	slow.Wait()
}

func (b *burst) has(call string) bool {
	return slices.ContainsFunc(b.tracks, func(track []string) bool { return slices.Contains(track, call) })
}

func (b *burst) call(call string) {
	r := reply{call: call, from: b.clock.Add(1)}
	b.do(&r)
	r.to = b.clock.Add(1)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.got = append(b.got, r)
}

func (b *burst) do(r *reply) {
	p := b.m.p
	switch r.call {
	case "event":
		r.event, r.err = p.EventFD()
	case "signal 0":
		r.err = p.Signal(syscall.Signal(0))
	case "continue":
		r.err = p.Signal(unix.SIGCONT)
	case "terminate":
		r.err = p.Signal(unix.SIGTERM)
	case "kill":
		r.err = p.Kill()
	case "destroy":
		r.err = p.Destroy()
	case "status":
		r.status, r.err = p.Status(false)
	case "wait":
		var state *tfork.ProcessState
		if state, r.err = p.Wait(); r.err == nil {
			r.status = state.Status()
		}
	case "done":
		select {
		case <-p.Done():
			r.closed = true
		default:
		}
	case "handle":
		r.err = p.WithHandle(func(fd uintptr) { r.lent = unix.PidfdSendSignal(int(fd), 0, nil, 0) })
	case "release":
		r.err = p.Release()
	case "start":
		r.started, r.err = newModel(b.m.crew)
	case "kill waiter":
		killWaiters()
	}
}

// judge holds every reply against what the model allows, and leaves the model as
// it is after them.
func (b *burst) judge() {
	m := b.m
	for _, r := range b.got { // first of all: what they started must not be left
		if r.started != nil {
			m.crew.all = append(m.crew.all, r.started)
		}
	}
	if b.has("kill waiter") {
		m.crew.fear() // for those too: who knows which waiter started them
	}
	defer m.crew.retire()
	was := past{m.told != nil, m.released, m.taken}
	if !was.released {
		b.expect()
	}
	for _, r := range b.got {
		b.judgeOne(was, r)
	}
	b.judgeEvents(was)
	m.released = m.released || b.has("release")
	if !m.released && slices.ContainsFunc(b.got, reply.tells) {
		st, err := m.p.Status(false)
		m.tell("Status(false) after the end was told", st, err)
	}
}

// past is what was so before a burst, or before a call of it.
type past struct{ told, released, taken bool }

// expect adds the signals that were sent to what may have ended the worker.
func (b *burst) expect() {
	for _, r := range b.got {
		// Destroy may have sent one before Release came between.
		refused := errors.Is(r.err, os.ErrProcessDone) || errors.Is(r.err, tfork.ErrReleased) && r.call != "destroy"
		if sig, fatal := fatalSignals[r.call]; fatal && !refused {
			b.m.expect(syscall.WaitStatus(sig))
		}
	}
}

// judgeOne judges what needs no other reply, but for what was before it.
func (b *burst) judgeOne(was past, r reply) {
	m := b.m
	told := was.told || b.before(r, reply.tells)
	released := was.released || b.before(r, func(q reply) bool { return q.call == "release" })
	switch r.call {
	case "start":
		// Whether a start was served whose waiter was killed meanwhile cannot
		// be known.
		if r.err != nil && !(b.has("kill waiter") && strings.Contains(r.err.Error(), "waiter")) {
			m.t.Fatalf("Start of another at once: %v", r.err)
		}
		return
	case "release":
		if r.err != nil {
			m.t.Fatalf("Release at once with others: %v", r.err)
		}
		return
	case "kill waiter":
		return
	case "done":
		if !r.closed && told {
			m.t.Fatal("Done is open after the end was told")
		}
		if r.closed && len(m.may) == 0 && !m.lossy {
			m.t.Fatal("Done is closed, of a worker that runs")
		}
		return
	}
	if errors.Is(r.err, tfork.ErrReleased) != released {
		// Release at the same time is the one excuse, and for that only.
		if released || !b.has("release") {
			m.t.Fatalf("%s, released before: %v, says %v", r.call, released, r.err)
		}
		return
	}
	if !released {
		b.judgeLive(r, told)
	}
}

// judgeLive judges an answer of a Process that is not released.
func (b *burst) judgeLive(r reply, told bool) {
	m := b.m
	done := errors.Is(r.err, os.ErrProcessDone)
	switch r.call {
	case "status", "wait":
		if errors.Is(r.err, tfork.ErrRunning) && r.call == "status" && !told {
			return
		}
		m.tell(r.call+" at once with others", r.status, r.err)
	case "destroy":
		if r.err != nil && !(m.lossy && errors.Is(r.err, tfork.ErrLost)) {
			m.t.Fatalf("Destroy at once with others: %v", r.err)
		}
	case "handle":
		if errors.Is(r.err, os.ErrNoHandle) {
			return
		}
		if r.err == nil && r.lent != nil && !(len(m.may) > 0 && r.lent == unix.ESRCH) {
			m.t.Fatalf("WithHandle at once with others: a signal through it says %v", r.lent)
		}
		fallthrough
	case "signal 0", "continue", "terminate", "kill":
		switch {
		case told && !done && !(m.lossy && errors.Is(r.err, tfork.ErrLost)):
			m.t.Fatalf("%s after the end was told: %v", r.call, r.err)
		case done && len(m.may) == 0 && !m.lossy, r.err != nil && !done && !(m.lossy && errors.Is(r.err, tfork.ErrLost)):
			m.t.Fatalf("%s at once with others: %v", r.call, r.err)
		}
	}
}

// judgeEvents: the event fd is given away once, ever.
func (b *burst) judgeEvents(was past) {
	m := b.m
	asked, given := 0, 0
	for _, r := range b.got {
		if r.call != "event" {
			continue
		}
		asked++
		switch {
		case r.event != nil:
			given++
			m.event, m.taken = r.event, true
		case !errors.Is(r.err, tfork.ErrReleased) && !errors.Is(r.err, tfork.ErrEventFDTaken):
			m.t.Fatalf("EventFD at once with others: %v", r.err)
		}
	}
	free := 0
	if !was.taken && asked > 0 {
		free = 1
	}
	if given > free || given < free && !was.released && !b.has("release") {
		m.t.Fatalf("%d of %d goroutines got the event fd, want %d", given, asked, free)
	}
}

// before tells whether a call with that property returned before r was made.
func (b *burst) before(r reply, is func(reply) bool) bool {
	return slices.ContainsFunc(b.got, func(q reply) bool { return q.to < r.from && is(q) })
}

// tells is true of an answer after which the end is known to all.
func (r reply) tells() bool {
	switch r.call {
	case "status", "wait", "destroy":
		return r.err == nil || errors.Is(r.err, tfork.ErrLost)
	case "done":
		return r.closed
	}
	return false
}
