// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package fuzz

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"github.com/seed-cb702d51/tfork-go/internal/testutil"
	"github.com/seed-cb702d51/tfork-go/tfork"
)

// model is what a Process is expected to be, beside the Process itself.
type model struct {
	t *rapid.T
	c *tfork.Cmd
	p *tfork.Process

	in       io.Writer // the worker ends with the code that is written to it
	pidfd    int       // our own look at the worker, -1: none
	ending   bool      // it was told to end
	want     syscall.WaitStatus
	killed   bool // by a signal too: either may have won
	observed bool // its status was told: it never changes from now on
	released bool
	event    *os.File
	taken    bool
	lossy    bool // the waiter was killed where no status is kept

	watchers sync.WaitGroup
	mu       sync.Mutex
	answers  []answer
}

// answer is what a goroutine got that waited meanwhile.
type answer struct {
	status tfork.Status
	err    error
}

// startModel starts a worker that lives until it is told to end.
func startModel(t *rapid.T, w way) *model {
	m := &model{t: t, pidfd: -1}
	m.c = w.make(nil, "/bin/sh", "-c", `read code; exit "$code"`).(ourCmd).Cmd
	in, err := m.c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	m.in = in
	if err := m.c.Start(); err != nil {
		t.Fatal(err)
	}
	m.p = m.c.Process
	m.pidfd, _ = unix.PidfdOpen(m.p.Pid, 0)
	return m
}

// end tells the worker to end with a code, once.
func (m *model) end(code int) {
	if m.ending {
		return
	}
	m.ending, m.want = true, syscall.WaitStatus(code<<8)
	fmt.Fprintln(m.in, code)
}

// check holds an answer against what is known.
func (m *model) check(what string, st tfork.Status, err error) {
	m.t.Helper()
	switch {
	case m.released:
		if !errors.Is(err, tfork.ErrReleased) {
			m.t.Fatalf("%s after Release: %v, %v", what, st, err)
		}
	case errors.Is(err, tfork.ErrRunning):
		if m.observed {
			m.t.Fatalf("%s: running after its end was told", what)
		}
	case errors.Is(err, tfork.ErrLost):
		if !m.lossy {
			m.t.Fatalf("%s: %v", what, err)
		}
		m.observed = true
	case err != nil:
		m.t.Fatalf("%s: %v", what, err)
	case !m.ending:
		m.t.Fatalf("%s: %v of a worker that runs", what, st)
	case st.WaitStatus() != m.want && !(m.killed && st.Signaled()):
		m.t.Fatalf("%s: %v, want %#x", what, st, m.want)
	default:
		m.observed = true
		m.want, m.killed = st.WaitStatus(), false
	}
}

// actions are what rapid draws from, by name.
func (m *model) actions() map[string]func(*rapid.T) {
	return map[string]func(*rapid.T){
		"end":          func(t *rapid.T) { m.end(rapid.IntRange(0, 255).Draw(t, "code")) },
		"status":       func(*rapid.T) { st, err := m.p.Status(false); m.check("Status(false)", st, err) },
		"wait":         func(*rapid.T) { m.wait() },
		"wait beside":  func(*rapid.T) { m.waitBeside() },
		"done":         func(*rapid.T) { m.done() },
		"event":        func(*rapid.T) { m.takeEvent() },
		"signal 0":     func(*rapid.T) { m.signal(0) },
		"stop":         func(*rapid.T) { m.signal(unix.SIGSTOP) },
		"continue":     func(*rapid.T) { m.signal(unix.SIGCONT) },
		"terminate":    func(*rapid.T) { m.fatal(unix.SIGTERM) },
		"kill":         func(*rapid.T) { m.fatal(unix.SIGKILL) },
		"destroy":      func(*rapid.T) { m.destroy() },
		"release":      func(t *rapid.T) { m.release(rapid.IntRange(0, 5).Draw(t, "really") == 5) },
		"handle":       func(*rapid.T) { m.handle() },
		"kill waiter":  func(t *rapid.T) { m.killWaiter(rapid.IntRange(0, 59).Draw(t, "really") == 59) },
		"many at once": func(*rapid.T) { m.manyAtOnce() },
		"collect":      func(*rapid.T) { m.collectGarbage() },
		"":             func(*rapid.T) { m.invariant() },
	}
}

// wait blocks, so it needs a worker that was told to end and is not stopped.
func (m *model) wait() {
	if !m.ending && !m.released {
		return
	}
	m.p.Signal(unix.SIGCONT)
	st, err := m.p.Status(true)
	m.check("Status(true)", st, err)
}

func (m *model) waitBeside() {
	m.watchers.Go(func() {
		st, err := m.p.Status(true)
		m.mu.Lock()
		defer m.mu.Unlock()
		m.answers = append(m.answers, answer{st, err})
	})
}

// done: closed only when the status is there.
func (m *model) done() {
	select {
	case <-m.p.Done():
		if st, err := m.p.Status(false); errors.Is(err, tfork.ErrRunning) {
			m.t.Fatalf("Done is closed: %v, %v", st, err)
		} else {
			m.check("Status(false) when Done", st, err)
		}
	default:
		if m.observed {
			m.t.Fatal("Done is open after the status was told")
		}
	}
}

func (m *model) takeEvent() {
	f, err := m.p.EventFD()
	switch {
	case m.released:
		if !errors.Is(err, tfork.ErrReleased) {
			m.t.Fatalf("EventFD after Release: %v", err)
		}
	case m.taken:
		if !errors.Is(err, tfork.ErrEventFDTaken) {
			m.t.Fatalf("second EventFD: %v", err)
		}
	case err != nil:
		m.t.Fatalf("EventFD: %v", err)
	default:
		m.event, m.taken = f, true
	}
}

// readable looks at the event fd without waiting.
func (m *model) readable() bool {
	ready := false
	raw, err := m.event.SyscallConn()
	if err != nil {
		m.t.Fatal(err)
	}
	raw.Control(func(fd uintptr) {
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		for {
			n, err := unix.Poll(fds, 0)
			if err != unix.EINTR {
				ready = n > 0
				return
			}
		}
	})
	return ready
}

// signal sends what does not end the worker.
func (m *model) signal(sig syscall.Signal) {
	err := m.p.Signal(sig)
	switch {
	case m.released:
		if !errors.Is(err, tfork.ErrReleased) {
			m.t.Fatalf("Signal after Release: %v", err)
		}
	case m.observed:
		if !errors.Is(err, os.ErrProcessDone) {
			m.t.Fatalf("Signal after the end was told: %v", err)
		}
	case m.lossy && (errors.Is(err, tfork.ErrLost) || errors.Is(err, os.ErrProcessDone)):
		// Without pidfds it is out of reach from when its waiter is gone.
	case err != nil && !(m.ending && errors.Is(err, os.ErrProcessDone)):
		m.t.Fatalf("Signal(%v): %v", sig, err)
	}
}

// fatal sends what ends the worker, if it has not ended.
func (m *model) fatal(sig syscall.Signal) {
	m.signal(sig)
	switch {
	case m.released, m.observed:
	case m.ending:
		m.killed = true
	default:
		m.ending, m.want = true, syscall.WaitStatus(sig)
		m.killed = true // a later one may be first: SIGTERM waits while stopped
	}
}

func (m *model) destroy() {
	if !m.released && !m.observed {
		m.killed = true
		if !m.ending {
			m.ending, m.want = true, syscall.WaitStatus(unix.SIGKILL)
		}
	}
	err := m.p.Destroy()
	switch {
	case m.released:
		if !errors.Is(err, tfork.ErrReleased) {
			m.t.Fatalf("Destroy after Release: %v", err)
		}
		return
	case err != nil && !(m.lossy && errors.Is(err, tfork.ErrLost)):
		m.t.Fatalf("Destroy: %v", err)
	}
	st, err := m.p.Status(false)
	m.check("Status(false) after Destroy", st, err)
	if !m.observed {
		m.t.Fatal("running after Destroy")
	}
}

func (m *model) release(really bool) {
	if !really {
		return
	}
	if err := m.p.Release(); err != nil {
		m.t.Fatalf("Release: %v", err)
	}
	m.released = true
}

func (m *model) handle() {
	lent := false
	err := m.p.WithHandle(func(fd uintptr) { lent = unix.PidfdSendSignal(int(fd), 0, nil, 0) == nil || m.ending })
	switch {
	case m.released:
		if !errors.Is(err, tfork.ErrReleased) {
			m.t.Fatalf("WithHandle after Release: %v", err)
		}
	case errors.Is(err, os.ErrNoHandle):
	case m.observed, m.ending && err != nil:
		if !errors.Is(err, os.ErrProcessDone) {
			m.t.Fatalf("WithHandle after the end: %v", err)
		}
	case err != nil || !lent:
		m.t.Fatalf("WithHandle: %v, lent %v", err, lent)
	}
}

// killWaiter kills the shared waiter, or that of this worker. It is done seldom:
// some containers' PID 1 takes seconds to reap the worker, and its status is not
// known before.
func (m *model) killWaiter(really bool) {
	if !really || m.p.Strategy() != tfork.Waiter {
		return
	}
	if r, _ := tfork.Probe(); !exitInfoKept(r) {
		m.lossy = true
	}
	for _, pid := range waitersOf(os.Getpid()) {
		kill(pid, unix.SIGKILL)
		// A start that meets it while it dies would be refused.
		testutil.PollFor(patience, func() bool { return !testutil.Exists(pid) })
	}
}

// manyAtOnce asks from several goroutines.
func (m *model) manyAtOnce() {
	var all sync.WaitGroup
	statuses := make([]answer, 8)
	for i := range statuses {
		all.Go(func() {
			switch i % 4 {
			case 0:
				m.p.Signal(unix.Signal(0))
			case 1:
				m.p.WithHandle(func(uintptr) {})
			case 2:
				m.p.Done()
			}
			statuses[i].status, statuses[i].err = m.p.Status(false)
		})
	}
	all.Wait()
	before := m.observed
	for _, s := range statuses {
		if errors.Is(s.err, tfork.ErrRunning) && !before {
			continue // some were earlier than others
		}
		m.check("Status(false) of many", s.status, s.err)
	}
}

// collectGarbage: a Process that is in use is not taken for a dropped one.
func (m *model) collectGarbage() {
	if st, err := m.p.Status(false); !m.released {
		m.check("Status(false)", st, err)
	}
}

// invariant holds between all actions.
func (m *model) invariant() {
	if m.event != nil && !m.released && m.readable() {
		st, err := m.p.Status(false)
		if errors.Is(err, tfork.ErrRunning) {
			m.t.Fatal("the event fd is readable, and Status says: running")
		}
		m.check("Status(false) at the event", st, err)
	}
}

// finish ends everything, and holds what the waiting goroutines got together.
func (m *model) finish() {
	switch {
	case m.pidfd >= 0:
		unix.PidfdSendSignal(m.pidfd, unix.SIGKILL, nil, 0)
		unix.Close(m.pidfd)
	case commOf(m.p.Pid) == "sh": // a kernel without: the best there is
		kill(m.p.Pid, unix.SIGKILL)
	}
	m.killed = m.killed || !m.observed
	m.ending = true
	if !m.released {
		st, err := m.p.Status(true)
		m.check("Status(true) at last", st, err)
	}
	m.watchers.Wait()
	for _, a := range m.answers {
		switch {
		case errors.Is(a.err, tfork.ErrReleased), m.lossy && errors.Is(a.err, tfork.ErrLost):
		case a.err != nil:
			m.t.Errorf("a waiting goroutine got %v", a.err)
		case a.status.WaitStatus() != m.want && !m.released:
			m.t.Errorf("a waiting goroutine got %v, others %#x", a.status, m.want)
		}
	}
	if m.event != nil {
		if !testutil.PollFor(patience, m.readable) {
			m.t.Error("event fd not readable at the end")
		}
		m.event.Close()
	}
	m.c.Wait() // frees the pipe
}
