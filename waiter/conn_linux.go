// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package waiter

import (
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-cb702d51/tfork-go/internal/wire"
)

// conn is the caller's end of one waiter.
type conn struct {
	proc      *os.Process
	waiterPid int
	file      *os.File
	raw       syscall.RawConn
	// gone is closed when the waiter has ended and is reaped.
	gone chan struct{}
	// lastSent is the question that was sent last; unread says that the waiter
	// ended before it had read all of them; failed is why it cannot be heard any
	// more. Only the reader uses the latter two.
	lastSent atomic.Uint64
	unread   bool
	failed   error

	mu      sync.Mutex
	lastID  uint64
	workers map[uint64]*Worker     // asked for, and not ended
	signals map[uint64]chan uint32 // asked for, and not answered
	waiting int                    // questions without an answer
	asked   time.Time              // when the last of them was asked
	watched bool                   // a timer watches the answers
	ready   bool                   // the waiter has said that it serves
	closing bool                   // no new workers; ends after the last
	dead    bool                   // nothing will ever be answered
	cause   error                  // why it never served; set before gone is closed
}

func (c *conn) pid() int { return c.waiterPid }

func (c *conn) nudge() { c.proc.Signal(unix.SIGCONT) }

// add enters a worker that is about to be asked for. ok is false where the
// connection takes no more.
func (c *conn) add(w *Worker) (ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing || c.dead {
		return false
	}
	c.lastID++
	w.id = c.lastID
	c.workers[w.id] = w
	c.question()
	return true
}

// refusal says why the connection takes no more workers. Where the waiter has
// gone it waits for the reader to find out.
func (c *conn) refusal() error {
	c.mu.Lock()
	closing := c.closing
	c.mu.Unlock()
	if closing {
		return errClosed
	}
	<-c.gone
	if c.cause != nil {
		return c.cause
	}
	return errClosed
}

// remove takes a worker out and, where it was the last one of a connection
// that closes, ends the waiter. Called with mu held.
func (c *conn) remove(w *Worker) {
	delete(c.workers, w.id)
	c.endIfIdle()
}

// close takes no more workers: the waiter ends after those it has.
func (c *conn) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closing && !c.dead {
		c.closing = true
		c.endIfIdle()
	}
}

// endIfIdle ends the waiter by ending the stream towards it, which it sees
// even if a child that was forked without exec holds a copy of our end. No
// request can be on its way: all have been answered. Called with mu held.
func (c *conn) endIfIdle() {
	if c.closing && !c.dead && len(c.workers) == 0 && len(c.signals) == 0 {
		var err error
		c.raw.Control(func(fd uintptr) { err = unix.Shutdown(int(fd), unix.SHUT_WR) })
		if err != nil {
			c.proc.Kill() // a sandbox: it must end all the same, and holds nothing
		}
		c.question() // its end is the answer: a stopped waiter is continued
	}
}

// question notes that an answer is due, and that somebody watches for it.
// Called with mu held.
func (c *conn) question() {
	c.waiting++
	c.asked = time.Now()
	if !c.watched {
		c.watched = true
		time.AfterFunc(answerTime, c.watch)
	}
}

// answerTime is how long a waiter may be silent before it is continued, in
// case something stopped it; and how often it is looked at while it has
// workers.
const answerTime = time.Second

// watch runs once in a while as long as there are questions or workers. One
// timer for all of them costs a start nothing; one for each would wake the
// netpoller.
//
// A waiter that something has stopped answers nothing and reports no end. It is
// stopped for no good reason: stopping it stops no worker.
func (c *conn) watch() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dead || c.waiting == 0 && len(c.workers) == 0 {
		c.watched = false
		return
	}
	silent := c.waiting > 0 && time.Since(c.asked) >= answerTime
	if silent || stopped(c.waiterPid) {
		c.nudge()
	}
	time.AfterFunc(answerTime, c.watch)
}

// signal asks the waiter to signal a worker, and waits for its answer.
func (c *conn) signal(w *Worker, sig syscall.Signal) error {
	if sig < 0 || sig > 64 {
		return os.NewSyscallError("kill", unix.EINVAL)
	}
	answer := make(chan uint32, 1)
	c.mu.Lock()
	if c.dead {
		c.mu.Unlock()
		return c.deadSignal(w)
	}
	c.lastID++
	id := c.lastID
	c.signals[id] = answer
	c.question()
	c.mu.Unlock()

	msg := wire.SignalInfo{Worker: w.id, Signal: uint32(sig)}.Append(nil, id)
	if err := c.send(id, msg, nil); err != nil && !isGone(err) {
		c.answerSignal(id, uint32(unix.EAGAIN))
		return err
	}
	errno, ok := <-answer
	switch {
	case !ok:
		return c.deadSignal(w)
	case errno == uint32(unix.ESRCH):
		return os.ErrProcessDone
	case errno != 0:
		return os.NewSyscallError("kill", syscall.Errno(errno))
	}
	return nil
}

// deadSignal is what Signal answers when no waiter is left to ask.
func (c *conn) deadSignal(w *Worker) error {
	if _, _, err := w.Result(); err != nil {
		return err
	}
	return os.ErrProcessDone
}

// answerSignal hands the answer to the one who asked.
func (c *conn) answerSignal(id uint64, errno uint32) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	answer, ok := c.signals[id]
	if ok {
		answer <- errno
		delete(c.signals, id)
		c.waiting--
		c.endIfIdle()
	}
	return ok
}

// end is the last thing that happens on a connection: everybody who still
// waits is told, and the waiter is reaped.
func (c *conn) end(why error) {
	if why != nil {
		c.proc.Kill() // it speaks another language: it is none of ours
	} else {
		why = c.failed
	}
	c.mu.Lock()
	c.dead = true
	workers, signals := c.workers, c.signals
	c.workers, c.signals = nil, nil
	ready := c.ready
	c.mu.Unlock()
	c.file.Close()

	lost := ErrGone
	if !ready {
		lost = c.notServed(why)
		c.mu.Lock()
		c.cause = lost
		c.mu.Unlock()
	}
	for _, answer := range signals {
		close(answer)
	}
	for _, w := range workers {
		switch {
		case w.pid == 0 && ready && c.unread && w.id == c.lastSent.Load():
			w.answered <- errClosed // it was not even read
		case w.pid == 0:
			w.answered <- lost
		default:
			w.finish(0, nil, ErrGone)
		}
	}
	c.reap()
	close(c.gone)
}

// notServed says why a waiter never came to serve, with its exit status where
// nobody stole it.
func (c *conn) notServed(why error) error {
	if why != nil {
		return &startError{why}
	}
	state, err := c.proc.Wait()
	if err != nil {
		return &startError{ErrGone}
	}
	return &startError{errors.New(state.String())}
}

// reap collects the waiter, whose end of the socket is closed: it is a zombie
// or about to be one. If somebody else took it, that is just as well.
func (c *conn) reap() {
	c.proc.Wait()
	c.proc.Release()
}

func closePidFD(fd int) {
	if fd >= 0 {
		unix.Close(fd)
	}
}
