// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package waiter

import (
	"errors"
	"time"

	"golang.org/x/sys/unix"
)

// takeReaping makes the calling thread the one that waits for workers, if
// there are any and nobody does.
func (s *server) takeReaping() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.reaping || len(s.byID) == 0 {
		return false
	}
	s.reaping = true
	return true
}

// reapWorkers collects and reports ends until there is no worker left. It
// peeks first: a worker is reaped under the lock only, so that until then its
// pid is its own.
func (s *server) reapWorkers() {
	for {
		found, err := s.wait(unix.P_ALL, 0, unix.WEXITED|unix.WNOWAIT)
		s.mu.Lock()
		switch {
		case err == nil:
			s.collect(found.Pid)
		case len(s.byID) == 0:
			s.reaping = false
			s.mu.Unlock()
			return
		case s.noChildren():
			s.exit(exitStolen)
		}
		s.mu.Unlock()
	}
}

// noChildren makes sure that a worker that should be there is not: it cannot
// have been started since the question was asked. Called with mu held.
func (s *server) noChildren() bool {
	_, err := s.wait(unix.P_ALL, 0, unix.WEXITED|unix.WNOWAIT|unix.WNOHANG)
	return errors.Is(err, unix.ECHILD)
}

// collect reaps one process that has ended. Called with mu held.
func (s *server) collect(pid int) {
	w := s.byPid[pid]
	if w == nil && s.starting > 0 {
		// One that ended before its start was through, or whose execve has
		// failed: its starter enters it or reaps it, very soon.
		for ended := s.ended; s.ended == ended; {
			s.changed.Wait()
		}
		return
	}
	end, err := s.wait(unix.P_PID, pid, unix.WEXITED|unix.WNOHANG)
	if w == nil {
		return // the program's own, from before it became a waiter
	}
	if err != nil || end.Pid != pid {
		s.exit(exitStolen)
		return
	}
	delete(s.byPid, pid)
	delete(s.byID, w.id)
	s.reply(exitedInfo(end.Status, &end.Rusage).Append(nil, w.id), nil)
	s.endIfDone()
}

// answer is a message that waits to be sent.
type answer struct {
	msg []byte
	fds []int
}

// reply sends a message to the caller, in order, and closes its descriptors.
// It never blocks: what a busy or stopped caller does not take now is kept.
// Called with mu held.
func (s *server) reply(msg []byte, fds []int) {
	a := answer{msg, fds}
	if s.orphan {
		closeAll(a.fds)
		return
	}
	if len(s.outbox) == 0 {
		if s.try(a) {
			return
		}
		go s.flush()
	}
	s.outbox = append(s.outbox, a)
}

// try sends one message unless it would block. A message that cannot take its
// descriptors along (too many are on their way) goes without.
func (s *server) try(a answer) (done bool) {
	err := s.send(a.msg, a.fds)
	if err == unix.ETOOMANYREFS {
		err = s.send(a.msg, nil)
	}
	if err == unix.EAGAIN || err == unix.ENOBUFS || err == unix.ENOMEM {
		return false
	}
	closeAll(a.fds)
	return true // or the caller is gone, which the end of the stream will tell
}

// flush sends what is kept as the caller takes it.
func (s *server) flush() {
	for pause := time.Millisecond; ; pause = min(2*pause, flushTime) {
		time.Sleep(pause)
		s.mu.Lock()
		for len(s.outbox) > 0 && s.try(s.outbox[0]) {
			s.outbox = s.outbox[1:]
		}
		if len(s.outbox) == 0 {
			s.outbox = nil
			s.mu.Unlock()
			return
		}
		s.mu.Unlock()
	}
}

// flushTime is how often a caller that does not take its answers is tried
// again in the end. Its socket holds hundreds: it is far behind anyway.
const flushTime = 50 * time.Millisecond

// dropOutbox forgets what nobody will take. Called with mu held.
func (s *server) dropOutbox() {
	for _, a := range s.outbox {
		closeAll(a.fds)
	}
	s.outbox = nil
}
