// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package waiter

import (
	"runtime"

	"golang.org/x/sys/unix"

	"github.com/seed-cb702d51/tfork-go/internal/wire"
)

// How many threads start workers. A start blocks its thread until execve is
// through, which may be long (a program on a slow network file system, a frozen
// cgroup), so there is always one more, up to the limit.
const (
	maxThreads = 8
	// spareThreads is how many stay in receive when there is nothing to do.
	spareThreads = 8
)

// thread is one that receives requests and starts workers. Whoever starts a
// worker while nobody waits for workers does that next, without a change of
// threads.
type thread struct {
	*server
	first bool
	umask int // that of the thread, -1: not known
	now   facts
	text  []byte // scratch space for /proc
	buf   []byte
	oob   []byte
}

// isolate ties the goroutine to its thread and gives that a working directory
// and umask of its own. A sandbox may forbid the latter.
func isolate() bool {
	runtime.LockOSThread()
	return unix.Unshare(unix.CLONE_FS) == nil
}

func (s *server) newThread() *thread {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.threads++
	return &thread{
		server: s, first: s.threads == 1, umask: -1,
		buf: make([]byte, wire.MaxMessage),
		oob: make([]byte, unix.CmsgSpace(4*maxRights)+unix.CmsgSpace(unix.SizeofUcred)),
	}
}

// run serves until the caller closes its end, or until there are threads
// enough without this one. A goroutine that ends tied to its thread takes the
// thread with it.
func (t *thread) run() {
	for t.wanted() {
		m, err := t.next()
		t.busy(err == nil)
		if err != nil {
			t.endOfStream()
			return
		}
		t.handle(m)
	}
}

// wanted counts the thread as idle, or dismisses it.
func (t *thread) wanted() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.orphan || !t.first && t.idle >= spareThreads {
		t.threads--
		return false
	}
	t.idle++
	return true
}

// busy takes the thread out of the idle ones, and sees to it that another one
// receives meanwhile.
func (t *thread) busy(more bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.idle--
	if more && t.own && t.idle == 0 && t.threads < maxThreads {
		go func(s *server) {
			if isolate() {
				unix.Chdir("/")
				s.newThread().run()
			}
		}(t.server)
	}
}

// endOfStream: the caller has ended, or has closed a connection that serves
// no worker. Workers live on, except those that asked not to.
func (t *thread) endOfStream() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.orphan {
		return
	}
	t.orphan = true
	t.out.close()
	for _, w := range t.byPid {
		t.mourn(w)
	}
	t.endIfDone()
}

// mourn sends the worker its death signal. Called with mu held: the worker is
// not reaped.
func (s *server) mourn(w *worker) {
	if w.deathSignal != 0 {
		s.kill(w.pid, w.deathSignal)
	}
}

// endIfDone ends the process when nobody needs it any more. Called with mu held.
func (s *server) endIfDone() {
	if s.orphan && len(s.byID) == 0 {
		s.exit(exitDone)
	}
}
