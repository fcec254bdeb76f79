// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package waiter

import (
	"encoding/binary"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-cb702d51/tfork-go/internal/testutil"
	"github.com/seed-cb702d51/tfork-go/internal/wire"
)

// asking is the caller's end of a waiter that was asked for n workers, and for
// one signal.
func asking(t testing.TB, n int) (c *conn, workers []*Worker, signal chan uint32) {
	t.Helper()
	ours, theirs, err := socketPair()
	if err != nil {
		t.Fatal(err)
	}
	theirs.Close()
	t.Cleanup(func() { ours.Close() })
	raw, err := ours.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	c = &conn{file: ours, raw: raw, workers: map[uint64]*Worker{}, signals: map[uint64]chan uint32{}}
	c.watched = true // there is nobody to continue
	for range n {
		w := &Worker{conn: c, pidfd: -1, userPidFD: -1, answered: make(chan error, 1), done: make(chan struct{})}
		if !c.add(w) {
			t.Fatal("a new connection takes no worker")
		}
		workers = append(workers, w)
	}
	signal = make(chan uint32, 1)
	c.lastID++
	c.signals[c.lastID] = signal
	c.question()
	return c, workers, signal
}

// FuzzAnswers holds for a waiter that says anything: the caller refuses what
// makes no sense, is told of each start and each end once, and keeps no
// descriptor that is not a worker's.
func FuzzAnswers(f *testing.F) {
	line := func(fds byte, msg []byte) []byte {
		return append([]byte{fds, 0, byte(len(msg)), byte(len(msg) >> 8)}, msg...)
	}
	started := wire.StartedInfo{Pid: 4711, PidFDs: 2}.Append(nil, 1)
	exited := (&wire.ExitedInfo{Status: 0x100}).Append(nil, 1)
	f.Add(line(0, wire.AppendReady(nil)))
	f.Add(append(line(2, started), line(0, exited)...))
	f.Add(append(line(3, started), line(0, exited)...))
	f.Add(append(line(0, exited), line(2, started)...))
	f.Add(append(line(1, started), line(1, started)...))
	f.Add(append(append(line(1, started), line(0, exited)...), line(0, exited)...))
	f.Add(line(0, wire.RefusedInfo{Reason: wire.Stale}.Append(nil, 2)))
	f.Add(line(1, wire.RefusedInfo{Reason: wire.ByKernel, Errno: 2}.Append(nil, 2)))
	f.Add(line(0, wire.AppendSignaled(nil, 4, 3)))
	f.Add(line(0, []byte("noise")))
	null, err := unix.Open(os.DevNull, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { unix.Close(null) })
	f.Fuzz(func(t *testing.T, text []byte) {
		c, workers, _ := asking(t, 3)
		before := len(testutil.FDs())
		var err error
		for len(text) >= 4 && err == nil {
			head, rest := text[:4], text[4:]
			n := min(int(binary.LittleEndian.Uint16(head[2:])), len(rest), wire.MaxAnswer)
			var oob []byte
			if fds := make([]int, head[0]%4); len(fds) > 0 {
				for i := range fds {
					fds[i] = dup(t, null)
				}
				oob = unix.UnixRights(fds...)
			}
			flags := 0
			if head[1]&1 != 0 {
				flags = unix.MSG_TRUNC
			}
			err = c.take(rest[:n], oob, flags)
			text = rest[n:]
		}
		for _, w := range workers {
			w.mu.Lock()
			closePidFD(w.pidfd)
			closePidFD(w.userPidFD)
			w.mu.Unlock()
			select {
			case <-w.done:
				if w.pid == 0 {
					t.Error("a worker has ended that was not started")
				}
			default:
			}
		}
		if after := len(testutil.FDs()); after != before {
			t.Errorf("%d descriptors, were %d", after, before)
		}
		if c.waiting < 0 || c.waiting > len(workers)+1 || time.Since(c.asked) < 0 {
			t.Errorf("%d questions are open", c.waiting)
		}
	})
}

// FuzzControl holds for any control message: descriptors and stamp, or an
// error, and never more than there is.
func FuzzControl(f *testing.F) {
	f.Add(unix.UnixRights(1, 2))
	f.Add(append(unix.UnixRights(1), unix.UnixCredentials(&unix.Ucred{Pid: 1})...))
	f.Add(unix.UnixCredentials(&unix.Ucred{Pid: 1}))
	f.Fuzz(func(t *testing.T, oob []byte) {
		fds, stamp, err := control(oob)
		if 4*len(fds) > len(oob) || err != nil && stamp != nil {
			t.Errorf("%d descriptors and %v out of %d bytes, %v", len(fds), stamp, len(oob), err)
		}
	})
}

// FuzzFacts holds for any status file: equal texts are equal facts, and a
// second look at the same text, into used buffers, changes nothing.
func FuzzFacts(f *testing.F) {
	own, err := readFile("/proc/self/status", nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(own)
	f.Add([]byte("Uid:\t1\t2\nSigIgn:\tzz\nUmask:\t99\n"))
	f.Add([]byte("Name:\tx\\nUid:\t0\t0\t0\t0\nUid:\t1\t1\t1\t1\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		var a, b facts
		a.status(text)
		b.status(own)
		b = facts{kept: b.kept[:0], rest: b.rest[:0]}
		b.status(text)
		if !a.equal(&b) {
			t.Errorf("%q reads as %q %q and as %q %q", text, a.kept, a.rest, b.kept, b.rest)
		}
	})
}
