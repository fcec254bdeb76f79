// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package waiter

import (
	"runtime"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/seed-cb702d51/tfork-go/internal/wire"
)

// How many threads start workers. A start blocks its thread until execve is
// through, which may be long (a program on a slow network file system, a frozen
// cgroup), so there is always one more, up to the limit.
const (
	maxThreads = 8
	// A waiter for one worker has one thread to start it and to wait for it, and
	// one that hears what the caller says meanwhile.
	dedicatedThreads = 2
)

// Beside one thread for each of its shares (GOMAXPROCS) and one for each start the
// runtime wants some of its own: two take signals, one makes threads, and one
// sends what the caller's socket had no room for.
const ownThreads = 4

// shares is the GOMAXPROCS of a waiter with so many threads that start workers. It
// has room for all at the same time: one that starts a worker keeps its share
// until execve is through, and one that comes back from a system call would wait
// for a share for up to 10 ms.
func shares(threads int) int { return threads + 2 }

// threadsOf is the inverse of shares.
func threadsOf(shares int) int { return shares - 2 }

// makeThreads makes the threads that the runtime will want, and leaves them to
// it: it keeps them, idle. One that it wants later may not be had (pids.max,
// RLIMIT_NPROC), and after a fifth of a second it ends the process then, and with
// it every status that is to be told. Before "ready" that loses nothing. (It may
// want one more where many are on their way to sleep at the same moment.)
func makeThreads(n int) {
	var met, all sync.WaitGroup
	met.Add(n)
	for range n {
		all.Go(func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread() // a thread that stays locked ends
			met.Done()
			met.Wait()
		})
	}
	all.Wait()
}

// thread is one that receives requests and starts workers. Whoever starts a
// worker while nobody waits for workers does that next, without a change of
// threads.
type thread struct {
	*server
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

// newThread is for one that has been counted: whoever asks for it counts it, so
// that those that have not begun yet are never more than allowed.
func (s *server) newThread() *thread {
	return &thread{
		server: s, umask: -1,
		buf: make([]byte, wire.MaxMessage),
		oob: make([]byte, unix.CmsgSpace(4*maxRights)+unix.CmsgSpace(unix.SizeofUcred)),
	}
}

// run serves until the caller closes its end. A goroutine that ends tied to its
// thread takes the thread with it.
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

// wanted counts the thread as idle, unless nothing will ever come.
func (t *thread) wanted() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.orphan {
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
	if more && t.own && t.idle == 0 && t.threads < t.most {
		t.threads++
		go t.anotherThread()
	}
}

// anotherThread serves too, on a thread of its own.
func (s *server) anotherThread() {
	if isolate() {
		unix.Chdir("/")
		s.newThread().run()
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.threads--
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
