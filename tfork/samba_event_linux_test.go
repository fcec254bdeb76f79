// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package tfork

import (
	"errors"
	"io"
	"os"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// sambaCmdSend: completion comes from the worker's end, not from the end of
// its output.
func sambaCmdSend(t *testing.T, m mode) {
	const script = `echo stdout; echo $1; echo stderror >&2; exec >&- 2>&-; read -r go; exit 7`
	c := m.command("/bin/sh", "-c", script, "sh", "foo")
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	stderr, err := c.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	p := mustStart(t, c)
	out, _ := io.ReadAll(stdout)
	errs, _ := io.ReadAll(stderr)
	if string(out) != "stdout\nfoo\n" || string(errs) != "stderror\n" {
		t.Errorf("output %q, %q", out, errs)
	}
	// Both outputs are at their end and the worker lives: it waits for us.
	if _, err := p.Status(false); !errors.Is(err, ErrRunning) {
		t.Errorf("Status(false) = %v although the worker waits", err)
	}
	if _, err := in.Write([]byte("go\n")); err != nil {
		t.Fatal(err)
	}
	wantExit(t, p, 7)
}

func mustEventFD(t *testing.T, p *Process) *os.File {
	t.Helper()
	f, err := p.EventFD()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// pollIn tells whether f has POLLIN within d.
func pollIn(t *testing.T, f *os.File, d time.Duration) bool {
	t.Helper()
	conn, err := f.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	in := false
	end := time.Now().Add(d)
	err = conn.Control(func(fd uintptr) {
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		for {
			_, err := unix.Poll(fds, int(d.Milliseconds()))
			in = fds[0].Revents&unix.POLLIN != 0
			// POLLHUP alone comes of a poll that looked for the byte just before it
			// was written, and for the writer just after it had closed.
			hup := fds[0].Revents == unix.POLLHUP && time.Now().Before(end)
			if err != unix.EINTR && !hup {
				break
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return in
}

func sambaEventFileHandle(t *testing.T, m mode) {
	p1, _ := startWaiting(t, m, 1)
	e1 := mustEventFD(t, p1)
	p2, _ := startWaiting(t, m, 2)
	e2 := mustEventFD(t, p2)
	if pollIn(t, e1, 0) || pollIn(t, e2, 0) {
		t.Error("event fd readable while the worker lives")
	}
	if err := p1.Kill(); err != nil {
		t.Fatal(err)
	}
	if !pollIn(t, e1, patience) {
		t.Error("event fd 1 not readable after worker 1 was killed")
	}
	if pollIn(t, e2, 0) {
		t.Error("event fd 2 readable although worker 2 lives")
	}
	if err := p2.Kill(); err != nil {
		t.Fatal(err)
	}
	if !pollIn(t, e2, patience) || !pollIn(t, e1, 0) {
		t.Error("event fds not both readable at the end")
	}
}

func sambaStatusHandle(t *testing.T, m mode) {
	p1, _ := startWaiting(t, m, 1)
	e1 := mustEventFD(t, p1)
	p2, _ := startWaiting(t, m, 2)
	e2 := mustEventFD(t, p2)
	running := func(p *Process) {
		t.Helper()
		if _, err := p.Status(false); !errors.Is(err, ErrRunning) || !errors.Is(err, syscall.EAGAIN) {
			t.Errorf("Status(false) of a live worker = %v, want ErrRunning", err)
		}
	}
	terminated := func(p *Process, e *os.File) {
		t.Helper()
		if err := p.Signal(unix.SIGKILL); err != nil {
			t.Fatal(err)
		}
		if !pollIn(t, e, patience) {
			t.Fatal("event fd not readable")
		}
		st, err := p.Status(false)
		if err != nil || st.Signal() != unix.SIGKILL {
			t.Errorf("Status(false) = %v, %v, want killed", st, err)
		}
	}
	running(p1)
	running(p2)
	terminated(p1, e1)
	running(p2)
	terminated(p2, e2)
	// Event fds were given away: nobody here has closed them.
	for _, e := range []*os.File{e1, e2} {
		if _, err := e.Stat(); err != nil {
			t.Errorf("event fd was closed: %v", err)
		}
	}
}
