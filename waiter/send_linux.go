// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package waiter

import (
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/seed-cb702d51/tfork-go/internal/sys"
	"github.com/seed-cb702d51/tfork-go/internal/wire"
)

// maxRights is SCM_MAX_FD: how many descriptors one message takes (unix(7)).
const maxRights = 253

// messages are the buffers in which requests are built.
var messages = sync.Pool{New: func() any { return new([]byte) }}

// send puts the whole request into one message on the waiter's socket: what is
// too large goes ahead of it into a memfd or a socket of its own, which the
// message carries. So there are no sequences of messages to be cut or mixed.
func (q *request) send(c *conn, id uint64) error {
	var undo sys.Cleanup
	defer undo.Run()
	env := wire.Envelope{Files: uint32(len(q.fds)), Body: uint32(q.Len())}
	if q.Len() > wire.MaxBody || len(q.fds) > wire.MaxFiles {
		return syscall.E2BIG
	}
	fds := q.fds
	if len(fds) > maxRights-1 {
		side, err := sideSocket(fds)
		if err != nil {
			return err
		}
		undo.Add(func() { unix.Close(side) })
		env.Carrier |= wire.FilesInSocket
		fds = []int{side}
	}
	buf := messages.Get().(*[]byte)
	defer messages.Put(buf)
	msg := (*buf)[:0]
	if q.Len() > wire.MaxInline {
		body, err := bodyMemfd(q.Request.Append(nil))
		if err != nil {
			return err
		}
		undo.Add(func() { unix.Close(body) })
		env.Carrier |= wire.BodyInMemfd
		fds = append([]int{body}, fds...)
		msg = env.Append(msg, id)
	} else {
		msg = q.Request.Append(env.Append(msg, id))
	}
	*buf = msg
	return c.send(id, msg, fds)
}

// send sends one message as soon as the socket takes it.
func (c *conn) send(id uint64, msg []byte, fds []int) error {
	var oob []byte
	if len(fds) > 0 {
		oob = unix.UnixRights(fds...)
	}
	var sent error
	err := c.raw.Write(func(fd uintptr) bool {
		// Before it is sent: once it is, nothing that came earlier counts as unread.
		// In order: one goroutine at a time is here.
		before := c.lastSent.Swap(id)
		sent = sendmsg(int(fd), msg, oob, unix.MSG_DONTWAIT)
		if sent != nil {
			c.lastSent.Store(before)
		}
		return sent != unix.EAGAIN
	})
	if err != nil {
		return os.ErrClosed // the reader has closed the file: the waiter is gone
	}
	return sent
}

// isGone tells whether a send failed because the other end is closed.
func isGone(err error) bool {
	switch err {
	case unix.EPIPE, unix.ECONNRESET, unix.ECONNREFUSED, unix.ENOTCONN, os.ErrClosed:
		return true
	}
	return false
}

// sideSocket returns a socket in which fds wait to be received.
func sideSocket(fds []int) (int, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, os.NewSyscallError("socketpair", err)
	}
	defer unix.Close(pair[0])
	for len(fds) > 0 {
		n := min(len(fds), maxRights)
		if err := sendmsg(pair[0], []byte{0}, unix.UnixRights(fds[:n]...), unix.MSG_DONTWAIT); err != nil {
			unix.Close(pair[1])
			return -1, err
		}
		fds = fds[n:]
	}
	return pair[1], nil
}

// bodyMemfd returns a sealed memfd with the body.
func bodyMemfd(body []byte) (int, error) { return sys.SealedMemfd("tfork request", body) }
