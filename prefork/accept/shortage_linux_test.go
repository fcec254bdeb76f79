// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package accept

import (
	"errors"
	"fmt"
	"net"
	"os"
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

// TestListener_EveryShortageIsTemporary: a server goes on after it.
func TestListener_EveryShortageIsTemporary(t *testing.T) {
	l, _ := shared(t, "tcp", "127.0.0.1:0")
	for _, errno := range []syscall.Errno{unix.EMFILE, unix.ENFILE, unix.ENOBUFS, unix.ENOMEM, unix.ENOSPC} {
		for _, cause := range []error{os.NewSyscallError("accept4", errno), &net.OpError{Op: "file", Err: errno}} {
			var e interface{ Temporary() bool }
			err := l.opError(cause)
			if !errors.As(err, &e) || !e.Temporary() || !errors.Is(err, errno) {
				t.Errorf("%v: want it temporary", err)
			}
		}
	}
}

// TestListener_HearsAgainAfterAFailure: a process that cannot be registered with
// the kernel at once is as soon as that works.
func TestListener_HearsAgainAfterAFailure(t *testing.T) {
	for name, fails := range map[string]func(*Listener){
		"before it waits":  func(l *Listener) { l.poll.behind = true; l.poll.toEnd() },
		"after a shortage": func(l *Listener) { l.rest() },
		"after a poke":     func(l *Listener) { l.poll.wake(); l.poll.wait(0) },
	} {
		t.Run(name, func(t *testing.T) {
			l, _ := shared(t, "tcp", "127.0.0.1:0")
			l.SetDeadline(time.Now().Add(testutil.Scaled(5 * time.Second)))
			l.poll.drain() // it is no reason to look again
			l.poll.leave()
			socket := l.poll.socket
			l.poll.socket = -1 // EBADF stands for a lack of memory
			fails(l)
			l.poll.socket = socket
			dial(t, l.Addr())
			c, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			c.Close()
		})
	}
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
