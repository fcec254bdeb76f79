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
)

// outboxPair is an outbox and the other end of its socket.
func outboxPair(t *testing.T) (o *outbox, other int) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fds[0]) })
	t.Cleanup(func() { unix.Close(fds[1]) })
	return socketOutbox(fds[0]), fds[1]
}

// TestOutbox_NeverBlocksAndKeepsOrder sends to a caller that reads nothing for
// a while: far more than a socket holds, with descriptors in between.
func TestOutbox_NeverBlocksAndKeepsOrder(t *testing.T) {
	o, other := outboxPair(t)
	const n, size = 5000, 100 // of which a socket holds some 200 KiB, or 10 messages
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		for i := range n {
			a := answer{msg: binary.LittleEndian.AppendUint32(make([]byte, 0, size), uint32(i))[:size]}
			if i%50 == 0 {
				fd, err := unix.Open(os.DevNull, unix.O_RDONLY|unix.O_CLOEXEC, 0)
				if err != nil {
					t.Error(err)
					return
				}
				a.fds = []int{fd}
			}
			o.put(a)
		}
	}()
	select {
	case <-sent:
	case <-time.After(soon):
		t.Fatal("a caller that does not read blocks the waiter")
	}
	if !o.behind.Load() {
		t.Fatal("the socket has held everything: the test shows nothing")
	}
	buf, oob := make([]byte, size), make([]byte, unix.CmsgSpace(4))
	for i := range n {
		k, oobn, _, err := recvmsg(other, buf, oob, 0)
		if err != nil || k != size || binary.LittleEndian.Uint32(buf) != uint32(i) {
			t.Fatalf("message %d: %x, %v", i, buf[:k], err)
		}
		fds, err := rights(oob[:oobn])
		if err != nil || len(fds) > 0 && i%50 != 0 {
			t.Fatalf("message %d: descriptors %v, %v", i, fds, err)
		}
		closeAll(fds)
	}
	testutil.Poll(t, soon, "nothing is kept any more", func() bool { return !o.behind.Load() })
}

func TestOutbox_CloseForgets(t *testing.T) {
	o, other := outboxPair(t)
	o.close()
	o.behind.Store(true) // as if something were kept: what comes now is dropped
	fd, err := unix.Open(os.DevNull, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	o.put(answer{[]byte("late"), []int{fd}})
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != unix.EBADF {
		t.Errorf("the descriptor of a dropped answer is still open: %v", err)
	}
	if n, _, _, err := recvmsg(other, make([]byte, 8), nil, unix.MSG_DONTWAIT); err != unix.EAGAIN {
		t.Errorf("%d bytes were sent, %v", n, err)
	}
}

// TestOutbox_WhatASandboxForbids: an answer goes without its descriptors where it
// must, and a waiter that can say nothing is better gone.
func TestOutbox_WhatASandboxForbids(t *testing.T) {
	for _, forbidden := range []string{"descriptors", "everything"} {
		t.Run(forbidden, func(t *testing.T) {
			sent, muted := 0, 0
			o := &outbox{
				send: func(_ []byte, fds []int) error {
					if len(fds) > 0 || forbidden == "everything" {
						return unix.EPERM
					}
					sent++
					return nil
				},
				mute: func() { muted++ },
			}
			fd, err := unix.Open(os.DevNull, unix.O_RDONLY|unix.O_CLOEXEC, 0)
			if err != nil {
				t.Fatal(err)
			}
			o.put(answer{[]byte("x"), []int{fd}})
			if want := forbidden == "everything"; (muted == 1) != want || (sent == 0) != want {
				t.Errorf("sent %d times, given up %d times", sent, muted)
			}
			if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != unix.EBADF {
				t.Errorf("the descriptor is still open: %v", err)
			}
		})
	}
}
