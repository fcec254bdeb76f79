// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package accept

import (
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// The pause after an error that means "out of something": it doubles with each
// such error in a row.
const (
	firstPause = 5 * time.Millisecond
	longPause  = time.Second
)

// Listener is a net.Listener on a socket that other processes accept from too.
// Make it with [New].
type Listener struct {
	addr net.Addr
	poll *poller

	turn     chan struct{} // holds one token: the right to wait in poll
	closed   chan struct{}
	closing  sync.Once
	closeErr error

	deadline deadline
	pause    time.Duration // after the next shortage; owned by who has the turn

	attempts, accepted atomic.Uint64
}

var _ net.Listener = (*Listener)(nil)

// New returns a listener on the listening stream socket f (TCP or unix), which
// it duplicates: f stays the caller's. It makes the socket non-blocking, for
// all processes that share it, and so it must stay: an Fd() of what net's File
// returned (os/exec calls it for ExtraFiles) makes it blocking again, and Accept in
// another process would hang. The path of a unix socket is never removed.
//
// Errors: f is no listening stream socket; out of descriptors; on systems
// other than Linux, errors.ErrUnsupported.
func New(f *os.File) (*Listener, error) {
	poll, err := newPoller(f)
	if err != nil {
		return nil, err
	}
	l := &Listener{
		addr:   poll.addr,
		poll:   poll,
		turn:   make(chan struct{}, 1),
		closed: make(chan struct{}),
		pause:  firstPause,
	}
	l.deadline.init()
	l.turn <- struct{}{}
	return l, nil
}

// Accept waits for the next connection and returns it: a *net.TCPConn or
// *net.UnixConn. One caller at a time waits with its thread, the others are
// parked.
//
// Errors are *net.OpError and wrap: net.ErrClosed after [Listener.Close],
// os.ErrDeadlineExceeded after the deadline, or the cause. Out of descriptors
// or memory (EMFILE, ENFILE, ENOBUFS, ENOMEM, ENOSPC) the error is Temporary, as
// some of net.Listener's, and comes at most once in a pause that grows from 5 ms to
// 1 s, so that a caller who just tries again does not spin. Meanwhile the
// other processes may take the connection.
func (l *Listener) Accept() (net.Conn, error) {
	if err := l.takeTurn(); err != nil {
		return nil, l.opError(err)
	}
	defer func() { l.turn <- struct{}{} }()
	for {
		if err := l.wait(); err != nil {
			if shortage(err) {
				l.rest()
			}
			return nil, l.opError(err)
		}
		l.attempts.Add(1)
		c, err := l.poll.accept()
		switch {
		case err == nil:
			l.accepted.Add(1)
			l.pause = firstPause
			return c, nil
		case again(err):
			continue
		case shortage(err):
			l.rest()
		}
		return nil, l.opError(err)
	}
}

// takeTurn waits until no other goroutine is in Accept.
func (l *Listener) takeTurn() error {
	for {
		at, changed := l.deadline.get()
		expired, stop := timer(at)
		select {
		case <-l.closed:
			stop()
			return net.ErrClosed
		default:
		}
		select {
		case <-l.turn:
			stop()
			return nil
		case <-l.closed:
		case <-changed:
		case <-expired:
			stop()
			return os.ErrDeadlineExceeded
		}
		stop()
	}
}

// wait returns when a connection may be there, and errs when it is time to go.
func (l *Listener) wait() error {
	for {
		select {
		case <-l.closed:
			return net.ErrClosed
		default:
		}
		at, _ := l.deadline.get()
		left := time.Duration(-1)
		if !at.IsZero() {
			if left = time.Until(at); left <= 0 {
				return os.ErrDeadlineExceeded
			}
		}
		if ready, err := l.poll.wait(left); ready || err != nil {
			return err
		}
	}
}

// rest lets the others have the socket for a while.
func (l *Listener) rest() {
	l.poll.leave()
	expired, stop := timer(time.Now().Add(l.pause))
	defer stop()
	l.pause = min(2*l.pause, longPause)
	select {
	case <-expired:
	case <-l.closed:
	}
	l.poll.join() // or the next wait does, and says why it cannot
}

// Poke looks at the queue again, in whoever waits in Accept: call it after
// another process that accepts from the same socket has died. It never blocks.
func (l *Listener) Poke() { l.poll.wake() }

// Close ends Accept, now and for ever, with net.ErrClosed, and waits for those
// who are in it: after Close, every connection that was taken has been returned
// by Accept. The socket itself and its queue live on in the other processes.
// A second call does nothing and returns the same.
func (l *Listener) Close() error {
	l.closing.Do(func() {
		close(l.closed)
		l.poll.wake()
		<-l.turn // for ever: nobody gets it again
		l.closeErr = l.poll.close()
	})
	return l.closeErr
}

// Addr returns the address of the socket.
func (l *Listener) Addr() net.Addr { return l.addr }

// SetDeadline is the time after which Accept returns os.ErrDeadlineExceeded,
// also for calls that wait already. The zero time means never.
func (l *Listener) SetDeadline(t time.Time) error {
	select {
	case <-l.closed:
		return l.opError(net.ErrClosed)
	default:
	}
	l.deadline.set(t)
	l.poll.wake()
	return nil
}

// Stats says how often accept(2) was called, and how often it gave a
// connection.
func (l *Listener) Stats() (attempts, accepted uint64) {
	return l.attempts.Load(), l.accepted.Load()
}

// opError gives an error the form that net's own have: callers ask it for
// Timeout and Temporary.
func (l *Listener) opError(err error) error {
	var op *net.OpError
	if shortage(err) {
		err = temporary{err}
	} else if errors.As(err, &op) {
		return err
	}
	return &net.OpError{Op: "accept", Net: l.addr.Network(), Addr: l.addr, Err: err}
}

// temporary is an error after which it is worth trying again. Go's own numbers say
// so of EMFILE and ENFILE, but not of a lack of memory.
type temporary struct{ error }

func (e temporary) Unwrap() error { return e.error }
func (temporary) Temporary() bool { return true }
func (temporary) Timeout() bool   { return false }

// deadline is a time that tells when it was changed.
type deadline struct {
	mu      sync.Mutex
	at      time.Time
	changed chan struct{}
}

func (d *deadline) init() { d.changed = make(chan struct{}) }

func (d *deadline) get() (time.Time, <-chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.at, d.changed
}

func (d *deadline) set(at time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.at = at
	close(d.changed)
	d.changed = make(chan struct{})
}

// timer returns a channel for a point in time; the zero time never comes.
func timer(at time.Time) (<-chan time.Time, func() bool) {
	if at.IsZero() {
		return nil, func() bool { return true }
	}
	t := time.NewTimer(time.Until(at))
	return t.C, t.Stop
}
