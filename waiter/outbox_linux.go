// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package waiter

import (
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// outbox sends answers to the caller without ever blocking: what a busy or
// stopped caller does not take now is kept, in order.
type outbox struct {
	send func(msg []byte, fds []int) error // never blocks: EAGAIN
	room func()                            // blocks until send may work again
	mute func()                            // the caller cannot be told what it waits for

	behind atomic.Bool // there is something in kept
	mu     sync.Mutex
	kept   []answer
	closed bool
}

// answer is a message that waits to be sent, and descriptors that are closed
// after that.
type answer struct {
	msg []byte
	fds []int
}

// reply sends a message to the caller and closes its descriptors. Two messages
// of one goroutine, or of two of which one has waited for the other, arrive in
// order.
func (s *server) reply(msg []byte, fds []int) { s.out.put(answer{msg, fds}) }

func (o *outbox) put(a answer) {
	if !o.behind.Load() && o.try(a) {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		closeAll(a.fds)
		return
	}
	o.kept = append(o.kept, a)
	if !o.behind.Swap(true) {
		go o.flush()
	}
}

// try sends one message unless it would block. A message that cannot take its
// descriptors along (too many are on their way, or a sandbox forbids it) goes
// without.
func (o *outbox) try(a answer) (done bool) {
	err := o.send(a.msg, a.fds)
	if err != nil && len(a.fds) > 0 && !later(err) && !isGone(err) {
		err = o.send(a.msg, nil)
	}
	if later(err) {
		return false
	}
	closeAll(a.fds)
	if err != nil && !isGone(err) {
		o.mute()
	}
	return true // or the caller is gone, which the end of the stream will tell
}

// later tells errors of a send that will pass.
func later(err error) bool { return err == unix.EAGAIN || err == unix.ENOBUFS || err == unix.ENOMEM }

// flush sends what is kept as the caller takes it.
func (o *outbox) flush() {
	for !o.flushed() {
		o.room()
	}
}

// flushed sends what can be sent, and tells whether nothing is left.
func (o *outbox) flushed() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	for len(o.kept) > 0 && o.try(o.kept[0]) {
		o.kept = o.kept[1:]
	}
	if len(o.kept) > 0 {
		return false
	}
	o.kept = nil
	o.behind.Store(false)
	return true
}

// close forgets what nobody will take, now and later.
func (o *outbox) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, a := range o.kept {
		closeAll(a.fds)
	}
	o.kept, o.closed = nil, true
}

// socketOutbox sends to the caller's end of fd. It uses no timers and no
// netpoller of the runtime: they would open descriptors.
func socketOutbox(fd int) *outbox {
	return &outbox{
		send: func(msg []byte, fds []int) error {
			var oob []byte
			if len(fds) > 0 {
				oob = unix.UnixRights(fds...)
			}
			return sendmsg(fd, msg, oob, unix.MSG_DONTWAIT)
		},
		room: func() {
			unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}, -1)
			// There may be room, but no memory.
			unix.Nanosleep(&unix.Timespec{Nsec: 1e6}, nil)
		},
	}
}
