// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package waiter

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Answers that lead to another attempt with a new waiter.
var (
	errStale  = errors.New("the caller is not what it was when the waiter was started")
	errClosed = errors.New("the waiter takes no more workers")
	errSplit  = errors.New("the starting thread and the main thread of the caller differ in credentials, no_new_privs or seccomp filters: start from the main thread, or use Direct")
)

// startError says that a waiter ended before it served: nothing was started.
type startError struct{ why error }

func (e *startError) Error() string { return "the waiter ended before it served: " + e.why.Error() }

func (e *startError) Unwrap() error { return e.why }

// again tells whether another attempt makes sense: nothing was started, and a
// new waiter may do better. (A signal to the process group ends one that is
// not yet ready for that.)
func again(err error) bool {
	var s *startError
	return err == errStale || err == errClosed || err == errSplit || errors.As(err, &s)
}

// attempts is how often a start is tried in all. Two do where the caller has
// changed once; the others are for a caller that changes meanwhile.
const attempts = 4

func (p *Pool) spawn(r *Request) (*Worker, error) {
	q, err := encode(r)
	if err != nil {
		return nil, err
	}
	defer q.close()
	splits := 0
	for range attempts {
		var c *conn
		if c, err = p.get(r.Dedicated || q.inheritCwd); err != nil {
			return nil, err
		}
		var w *Worker
		w, err = c.spawn(q)
		if r.Dedicated || q.inheritCwd || err != nil && again(err) {
			p.retire(c)
		}
		if err == nil {
			return w, nil
		}
		if err == errSplit {
			splits++ // once, the caller may have changed while the waiter was started
		}
		if !again(err) || splits > 1 {
			return nil, err
		}
	}
	return nil, fmt.Errorf("%d waiters in a row could not be used: %w", attempts, err)
}

// get returns the shared waiter, started if there is none that serves, or a
// new one for this worker alone.
func (p *Pool) get(dedicated bool) (*conn, error) {
	if dedicated {
		return launch(dedicatedThreads)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.shared != nil && p.shared.serves() {
		return p.shared, nil
	}
	c, err := launch(maxThreads)
	if err != nil {
		return nil, err
	}
	p.shared = c
	return c, nil
}

// retire takes a waiter out of service; its workers go on being reported.
func (p *Pool) retire(c *conn) {
	p.mu.Lock()
	if p.shared == c {
		p.shared = nil
	}
	p.mu.Unlock()
	c.close()
}

func (p *Pool) closeIdle() {
	p.mu.Lock()
	c := p.shared
	if c == nil || !c.closeIfIdle() {
		p.mu.Unlock()
		return
	}
	p.shared = nil
	p.mu.Unlock()
	<-c.gone
}

// serves tells whether the waiter takes new workers.
func (c *conn) serves() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.closing && !c.dead
}

// closeIfIdle closes a connection without workers, and tells whether it did or
// the waiter is gone anyway.
func (c *conn) closeIfIdle() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dead {
		return true
	}
	if len(c.workers)+len(c.signals) > 0 {
		return false
	}
	c.closing = true
	c.endIfIdle()
	return true
}

// spawn asks this waiter for a worker.
func (c *conn) spawn(q *request) (*Worker, error) {
	w := &Worker{conn: c, pidfd: -1, userPidFD: -1, answered: make(chan error, 1), done: make(chan struct{})}
	if !c.add(w) {
		return nil, c.refusal()
	}
	if err := c.ask(w, q); err == errClosed {
		return nil, c.refusal()
	} else if err != nil {
		return nil, err
	}
	if err := <-w.answered; err != nil {
		return nil, err
	}
	if q.pidFD != nil {
		*q.pidFD = w.userPidFD
	} else {
		closePidFD(w.userPidFD)
	}
	return w, nil
}

// ask sends the request. If that fails, nothing was started.
func (c *conn) ask(w *Worker, q *request) error {
	err := q.send(c, w.id)
	if err == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.dead {
		c.waiting--
		c.remove(w)
	}
	switch {
	case isGone(err):
		return errClosed
	case err == unix.EBADF, err == unix.E2BIG:
		return err // a file that is none, too many arguments: as execve says it
	}
	if _, bare := err.(unix.Errno); bare {
		err = os.NewSyscallError("sendmsg", err)
	}
	// Not to be taken for the error of the worker's execve.
	return fmt.Errorf("request to the waiter: %w", err)
}
