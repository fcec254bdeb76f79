// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package waiter

import (
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/seed-cb702d51/tfork-go/internal/wire"
)

// read is the one goroutine that takes what the waiter says, in the netpoller:
// it costs no thread.
func (c *conn) read() {
	buf := make([]byte, wire.MaxAnswer)
	oob := make([]byte, unix.CmsgSpace(wire.MaxPidFDs*4))
	var why error
	eof := false
	err := c.raw.Read(func(fd uintptr) bool {
		for !eof && why == nil {
			n, oobn, flags, err := recvmsg(int(fd), buf, oob, unix.MSG_DONTWAIT)
			switch {
			case err == unix.EAGAIN:
				return false
			case err == unix.ECONNRESET && !c.unread:
				// The other end was closed before it had read everything. What
				// it has said before that is still to come, unless this is all
				// that ever comes in place of an end: then it has come already.
				c.unread = true
			case err == unix.ECONNRESET:
				eof = true
			case err != nil:
				c.failed, eof = os.NewSyscallError("recvmsg", err), true
			case n == 0:
				eof = true
			default:
				why = c.take(buf[:n], oob[:oobn], flags)
			}
		}
		return true
	})
	if why == nil && !eof {
		why = err
	}
	c.end(why)
}

// take handles one message. An error means that the other end is no waiter.
func (c *conn) take(msg, oob []byte, flags int) error {
	fds, err := rights(oob)
	if err != nil {
		return err
	}
	h, payload, err := wire.Parse(msg)
	if err == nil && h.Kind != wire.Started && len(fds) > 0 {
		err = fmt.Errorf("%v message with descriptors", h.Kind)
	}
	if err == nil && flags&unix.MSG_TRUNC != 0 {
		err = fmt.Errorf("%v message is cut off", h.Kind)
	}
	if err == nil {
		err = c.dispatch(h, payload, fds)
	}
	if err != nil {
		closeAll(fds)
	}
	return err
}

func (c *conn) dispatch(h wire.Header, payload []byte, fds []int) error {
	switch h.Kind {
	case wire.Ready:
		c.mu.Lock()
		c.ready = true
		c.mu.Unlock()
		return wire.ParseReady(payload)
	case wire.Started:
		s, err := wire.ParseStarted(payload)
		if err != nil {
			return err
		}
		return c.started(h.ID, s, fds)
	case wire.Refused:
		f, err := wire.ParseRefused(payload)
		if err != nil {
			return err
		}
		return c.refused(h.ID, f)
	case wire.Exited:
		e, err := wire.ParseExited(payload)
		if err != nil {
			return err
		}
		return c.exited(h.ID, e)
	case wire.Signaled:
		errno, err := wire.ParseSignaled(payload)
		if err == nil && !c.answerSignal(h.ID, errno) {
			err = fmt.Errorf("an answer to nothing: signal %d", h.ID)
		}
		return err
	}
	return fmt.Errorf("%v message from a waiter", h.Kind)
}

// started tells the one who asked that the worker runs. Descriptors that the
// message has no room for any more (our table is full) are simply missing.
func (c *conn) started(id uint64, s wire.StartedInfo, fds []int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	w := c.workers[id]
	if w == nil || w.pid != 0 || len(fds) > int(s.PidFDs) {
		return fmt.Errorf("an answer to nothing: started %d", id)
	}
	c.waiting--
	w.pid = int(s.Pid)
	if len(fds) > 0 {
		w.pidfd = fds[0]
	}
	if len(fds) > 1 {
		w.userPidFD = fds[1]
	}
	w.answered <- nil
	return nil
}

func (c *conn) refused(id uint64, f wire.RefusedInfo) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	w := c.workers[id]
	if w == nil || w.pid != 0 {
		return fmt.Errorf("an answer to nothing: refused %d", id)
	}
	c.waiting--
	c.remove(w)
	switch f.Reason {
	case wire.Stale:
		w.answered <- errStale
	case wire.Split:
		w.answered <- errSplit
	default:
		w.answered <- syscall.Errno(f.Errno)
	}
	return nil
}

func (c *conn) exited(id uint64, e *wire.ExitedInfo) error {
	c.mu.Lock()
	w := c.workers[id]
	if w == nil || w.pid == 0 {
		c.mu.Unlock()
		return fmt.Errorf("an answer to nothing: exited %d", id)
	}
	c.remove(w)
	c.mu.Unlock()
	w.finish(syscall.WaitStatus(e.Status), rusageOf(e), nil)
	return nil
}
