// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package waiter

import (
	"golang.org/x/sys/unix"
)

// takeReaping makes the calling thread the one that waits for workers, if
// there are any and nobody does.
func (s *server) takeReaping() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.reaping || len(s.byPid) == 0 {
		return false
	}
	s.reaping = true
	return true
}

// reapWorkers collects and reports ends until there is no worker left, or
// somebody else must do it. It peeks first: a worker is reaped under the lock
// only, so that until then its pid is its own.
func (s *server) reapWorkers() {
	for more := true; more; {
		found, err := s.wait(unix.P_ALL, 0, unix.WEXITED|unix.WNOWAIT)
		if err == nil {
			more = s.collect(found.Pid)
		} else {
			more = s.nothing()
		}
	}
}

// nothing handles that there is no child at all.
func (s *server) nothing() (more bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.byPid) > 0 {
		// Started since the question was asked; or else taken from us, or a
		// sandbox does not let us wait: then it is better to be gone, which the
		// caller sees, than to ask for ever.
		_, err := s.wait(unix.P_ALL, 0, unix.WEXITED|unix.WNOWAIT|unix.WNOHANG)
		if err != nil {
			s.exit(exitStolen)
		}
		return true
	}
	s.reaping = false
	return false
}

// collect reaps and reports one process that has ended.
func (s *server) collect(pid int) (more bool) {
	s.mu.Lock()
	w := s.byPid[pid]
	if w == nil && len(s.byID) > len(s.byPid) {
		// One that ended before its start was through, or whose execve has
		// failed. Its starter is about to enter it, or to reap it, and goes on
		// collecting after that.
		s.reaping = false
		s.mu.Unlock()
		return false
	}
	end, err := s.wait(unix.P_PID, pid, unix.WEXITED|unix.WNOHANG)
	if w == nil {
		s.mu.Unlock()
		return true // the program's own, from before it became a waiter
	}
	if err != nil || end.Pid != pid {
		s.exit(exitStolen)
	}
	delete(s.byPid, pid)
	delete(s.byID, w.id)
	s.endIfDone()
	s.mu.Unlock()
	s.reply(exitedInfo(end.Status, &end.Rusage).Append(nil, w.id), nil)
	return true
}
