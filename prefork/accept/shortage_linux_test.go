// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package accept

import (
	"errors"
	"fmt"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-cb702d51/tfork-go/internal/testutil"
)

func TestListener_OutOfDescriptorsDoesNotSpin(t *testing.T) {
	l, _ := shared(t, "tcp", "127.0.0.1:0")
	dial(t, l.Addr())
	held := exhaust(t)
	testutil.NeedFeature(t, "2.6", func() error { return keepsTheQueue(l) })
	l.SetDeadline(time.Now().Add(testutil.Scaled(patience)))
	var temporary interface{ Temporary() bool }
	start := time.Now()
	errs := 0
	for time.Since(start) < 200*time.Millisecond {
		_, err := l.Accept()
		if !errors.Is(err, syscall.EMFILE) || !errors.As(err, &temporary) || !temporary.Temporary() {
			t.Fatalf("Accept: %v, want a temporary EMFILE", err)
		}
		errs++
	}
	// 5+10+20+40+80+160 ms: six errors, more only if the pauses do not grow.
	if errs > 8 {
		t.Errorf("%d errors in 200 ms", errs)
	}
	held.give()
	c, err := l.Accept()
	if err != nil {
		t.Fatalf("after descriptors were given back: %v", err)
	}
	c.Close()
}

// keepsTheQueue tells whether a connection stays in the queue if there is no
// descriptor for it.
func keepsTheQueue(l *Listener) error {
	for range 2 {
		switch _, _, err := unix.Accept4(l.poll.socket, unix.SOCK_CLOEXEC); err {
		case unix.EMFILE:
		case unix.EAGAIN:
			return fmt.Errorf("accept4 drops connections for which there is no descriptor: %w", errors.ErrUnsupported)
		default:
			return fmt.Errorf("accept4 without descriptors: %w", err)
		}
	}
	return nil
}

// TestListener_TheLastDescriptorServes holds that a connection taken with the
// last free descriptor is not lost for want of another one.
func TestListener_TheLastDescriptorServes(t *testing.T) {
	l, _ := shared(t, "tcp", "127.0.0.1:0")
	dial(t, l.Addr())
	dial(t, l.Addr())
	c, err := l.Accept() // the runtime's own descriptors are open now
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	held := exhaust(t)
	held.giveOne()
	c, err = l.Accept()
	if err != nil {
		t.Fatalf("Accept with one free descriptor: %v", err)
	}
	c.Close()
}

// hoard holds all descriptors there are.
type hoard struct {
	fds []int
	old unix.Rlimit
}

func exhaust(t *testing.T) *hoard {
	t.Helper()
	h := &hoard{}
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &h.old); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 200, Max: h.old.Max}); err != nil {
		t.Fatal(err)
	}
	for {
		fd, err := unix.FcntlInt(0, unix.F_DUPFD_CLOEXEC, 3)
		if err != nil {
			t.Cleanup(h.give)
			return h
		}
		h.fds = append(h.fds, fd)
	}
}

// give gives everything back.
func (h *hoard) give() {
	for len(h.fds) > 0 {
		h.giveOne()
	}
	unix.Setrlimit(unix.RLIMIT_NOFILE, &h.old)
}

func (h *hoard) giveOne() {
	unix.Close(h.fds[0])
	h.fds = h.fds[1:]
}
