// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package fuzz

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"github.com/seed-cb702d51/tfork-go/internal/testutil"
	"github.com/seed-cb702d51/tfork-go/tfork"
)

// model is what a Process is expected to be, beside the Process itself.
type model struct {
	t    *rapid.T
	crew *crew
	c    *tfork.Cmd
	p    *tfork.Process

	in    io.Writer // the worker ends with the code that is written to it
	pidfd int       // our own look at the worker, -1: none
	// may are the ends that it may come to: the code that it was told, and the
	// signals that it was sent. Which of several was first is not known. Without
	// any it runs.
	may      []syscall.WaitStatus
	told     *answer // how it ended, once that was told: it never changes from now on
	released bool
	event    *os.File
	taken    bool
	lossy    bool // the waiter was killed where no status is kept

	watchers sync.WaitGroup
	mu       sync.Mutex
	answers  []answer
}

// answer is what Status said.
type answer struct {
	status tfork.Status
	err    error
}

// newModel starts a worker that lives until it is told to end.
func newModel(c *crew) (*model, error) {
	m := &model{t: c.t, crew: c, pidfd: -1}
	m.c = c.way.make(nil, "/bin/sh", "-c", `read code; exit "$code"`).(ourCmd).Cmd
	in, err := m.c.StdinPipe()
	if err != nil {
		return nil, err
	}
	m.in = in
	if err := m.c.Start(); err != nil {
		return nil, err
	}
	m.p = m.c.Process
	m.pidfd, _ = unix.PidfdOpen(m.p.Pid, 0)
	return m, nil
}

// end tells the worker to end with a code, once.
func (m *model) end(code int) {
	if len(m.may) > 0 {
		return
	}
	m.expect(syscall.WaitStatus(code << 8))
	fmt.Fprintln(m.in, code)
}

// expect takes down what may end the worker from now on.
func (m *model) expect(end syscall.WaitStatus) {
	if !slices.Contains(m.may, end) {
		m.may = append(m.may, end)
	}
}

// raw signals the worker past its Process, which may be released.
func (m *model) raw(sig syscall.Signal) {
	switch {
	case m.pidfd >= 0:
		unix.PidfdSendSignal(m.pidfd, sig, nil, 0)
	case commOf(m.p.Pid) == "sh": // a kernel without: the best there is
		kill(m.p.Pid, sig)
	}
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
		if m.told != nil {
			m.t.Fatalf("%s: running after its end was told", what)
		}
	default:
		m.tell(what, st, err)
	}
}

// tell holds what was told of the end against what may be, and what was told
// before.
func (m *model) tell(what string, st tfork.Status, err error) {
	m.t.Helper()
	lost := errors.Is(err, tfork.ErrLost)
	switch {
	case err != nil && !(lost && m.lossy):
		m.t.Fatalf("%s: %v", what, err)
	case m.told != nil && (m.told.status != st || lost != errors.Is(m.told.err, tfork.ErrLost)):
		m.t.Fatalf("%s: %v, %v, and before: %v, %v", what, st, err, m.told.status, m.told.err)
	case !lost && len(m.may) == 0:
		m.t.Fatalf("%s: %v of a worker that runs", what, st)
	case !lost && !slices.Contains(m.may, st.WaitStatus()):
		m.t.Fatalf("%s: %v, want one of %#x", what, st, m.may)
	}
	m.told = &answer{st, err}
}

// modelActions are what rapid draws from, by name.
var modelActions = map[string]func(*model, *rapid.T){
	"end":          func(m *model, t *rapid.T) { m.end(rapid.IntRange(0, 255).Draw(t, "code")) },
	"status":       func(m *model, _ *rapid.T) { st, err := m.p.Status(false); m.check("Status(false)", st, err) },
	"wait":         func(m *model, _ *rapid.T) { m.wait() },
	"wait beside":  func(m *model, _ *rapid.T) { m.waitBeside() },
	"done":         func(m *model, _ *rapid.T) { m.done() },
	"event":        func(m *model, _ *rapid.T) { m.takeEvent() },
	"signal 0":     func(m *model, _ *rapid.T) { m.signal(0) },
	"stop":         func(m *model, _ *rapid.T) { m.signal(unix.SIGSTOP) },
	"continue":     func(m *model, _ *rapid.T) { m.signal(unix.SIGCONT) },
	"terminate":    func(m *model, _ *rapid.T) { m.fatal(unix.SIGTERM) },
	"kill":         func(m *model, _ *rapid.T) { m.fatal(unix.SIGKILL) },
	"destroy":      func(m *model, _ *rapid.T) { m.destroy() },
	"release":      func(m *model, t *rapid.T) { m.release(rapid.IntRange(0, 5).Draw(t, "really") == 5) },
	"handle":       func(m *model, _ *rapid.T) { m.handle() },
	"many at once": func(m *model, t *rapid.T) { m.manyAtOnce(t) },
	"collect":      func(m *model, t *rapid.T) { m.collectGarbage(rapid.IntRange(0, 3).Draw(t, "really") == 3) },
}

// wait blocks, so it needs a worker that was told to end and is not stopped.
func (m *model) wait() {
	if len(m.may) == 0 && !m.released {
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
		if m.told != nil {
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
	case m.told != nil:
		if !errors.Is(err, os.ErrProcessDone) {
			m.t.Fatalf("Signal after the end was told: %v", err)
		}
	case m.lossy && (errors.Is(err, tfork.ErrLost) || errors.Is(err, os.ErrProcessDone)):
		// Without pidfds it is out of reach from when its waiter is gone.
	case err != nil && !(len(m.may) > 0 && errors.Is(err, os.ErrProcessDone)):
		m.t.Fatalf("Signal(%v): %v", sig, err)
	}
}

// fatal sends what ends the worker, if it has not ended.
func (m *model) fatal(sig syscall.Signal) {
	m.signal(sig)
	if !m.released {
		m.expect(syscall.WaitStatus(sig))
	}
}

func (m *model) destroy() {
	if !m.released {
		m.expect(syscall.WaitStatus(unix.SIGKILL))
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
	if m.told == nil {
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
	err := m.p.WithHandle(func(fd uintptr) { lent = unix.PidfdSendSignal(int(fd), 0, nil, 0) == nil || len(m.may) > 0 })
	switch {
	case m.released:
		if !errors.Is(err, tfork.ErrReleased) {
			m.t.Fatalf("WithHandle after Release: %v", err)
		}
	case errors.Is(err, os.ErrNoHandle):
	case m.told != nil, len(m.may) > 0 && err != nil:
		if !errors.Is(err, os.ErrProcessDone) {
			m.t.Fatalf("WithHandle after the end: %v", err)
		}
	case err != nil || !lent:
		m.t.Fatalf("WithHandle: %v, lent %v", err, lent)
	}
}

// collectGarbage: a Process that is in use is not taken for a dropped one, whose
// worker and descriptor are given up.
func (m *model) collectGarbage(really bool) {
	if !really {
		return // it takes a while where the machine is busy
	}
	runtime.GC()
	st, err := m.p.Status(false)
	m.check("Status(false) after a collection", st, err)
	m.handle()
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
	m.expect(syscall.WaitStatus(unix.SIGKILL))
	m.raw(unix.SIGKILL)
	if m.pidfd >= 0 {
		unix.Close(m.pidfd)
	}
	if !m.released {
		st, err := m.p.Status(true)
		m.check("Status(true) at last", st, err)
	}
	m.watchers.Wait()
	for _, a := range m.answers {
		if !m.released || !errors.Is(a.err, tfork.ErrReleased) {
			m.tell("a waiting goroutine", a.status, a.err)
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
