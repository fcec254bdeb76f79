// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package tfork

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"syscall"
)

// handle is what a strategy holds of one started worker. All methods may be
// called by many goroutines, but wait and try never at the same time: Process
// sees to that.
type handle interface {
	// wait parks until the worker's end is known. An error is ErrLost.
	wait() (Status, error)
	// try is wait without blocking: ErrRunning if the end is not known yet.
	try() (Status, error)
	// signal never hits another process. After the end: os.ErrProcessDone.
	signal(syscall.Signal) error
	// lend calls f with a pidfd, or returns os.ErrNoHandle.
	lend(f func(pidfd uintptr)) error
	// close gives up what the handle holds. The worker is not touched.
	close()
}

// Process is one started worker. Its status is collected once and told as
// often as asked; every method may be called by many goroutines at once.
//
// A Process that is dropped without [Process.Wait] leaves no zombie and no
// descriptor: its worker goes on, and is collected in the background when it
// ends. It is not dropped as long as its [Cmd] is held by a context.
type Process struct {
	// Pid is the worker's process id, under every strategy. It keeps its
	// value after the end, when the number may belong to another process:
	// signal through the methods, never by number.
	Pid int

	choice choice
	placed Placement
	h      handle
	// settle completes a status before it is told, and afterwards gives back
	// what only a live worker needs.
	settle  settler
	cleanup runtime.Cleanup

	mu         sync.Mutex
	ended      bool          // status and err hold
	status     Status        // how it ended, if err is nil
	err        error         // why that cannot be known: ErrLost
	collecting bool          // a goroutine is in h.wait
	done       chan struct{} // closed at the end; nil until somebody needs it
	released   bool          // given up by the user
	eventTaken bool
	event      eventWriter // writing end of the event fd, while it is armed
}

// settler holds what is done around a worker's end. It must not refer to the
// Process, which would keep that from being dropped.
type settler struct {
	evidence *evidence
	release  func()
}

// collected completes st with what must be read before the status is told.
func (s settler) collected(st *Status) {
	if s.evidence != nil {
		s.evidence.complete(st)
	}
}

// ended gives back what the live worker needed.
func (s settler) ended() {
	if s.evidence != nil {
		s.evidence.close()
	}
	if s.release != nil {
		s.release()
	}
}

var errNotStarted = errors.New("tfork: process was not started by a Cmd")

// newProcess takes h and watches over it.
func newProcess(pid int, h handle, c choice, s settler) *Process {
	p := &Process{Pid: pid, choice: c, h: h, settle: s}
	p.cleanup = runtime.AddCleanup(p, collectDropped, droppedProcess{h, s})
	return p
}

// droppedProcess is what is left of a Process that nobody can reach.
type droppedProcess struct {
	h handle
	s settler
}

// collectDropped sees to it that a forgotten worker leaves no zombie.
func collectDropped(d droppedProcess) {
	go func() {
		d.h.wait()
		d.h.close()
		d.s.ended()
	}()
}

// await returns when the end is known. The first caller collects on its own
// goroutine: handing the status over to another one would cost more than the
// whole of waiting.
func (p *Process) await() {
	p.mu.Lock()
	if p.ended {
		p.mu.Unlock()
		return
	}
	if p.collecting {
		done := p.doneLocked()
		p.mu.Unlock()
		<-done
		return
	}
	p.collecting = true
	p.mu.Unlock()
	st, err := p.h.wait()
	if err == nil {
		p.settle.collected(&st)
	}
	p.mu.Lock()
	p.finishLocked(st, err)
	p.mu.Unlock()
}

// finishLocked is the one transition from running to ended. The event comes
// last: whoever sees it finds the status in place.
func (p *Process) finishLocked(st Status, err error) {
	p.ended, p.status, p.err, p.collecting = true, st, err, false
	p.cleanup.Stop()
	p.h.close()
	p.settle.ended()
	if p.done != nil {
		close(p.done)
	}
	p.event.fire()
}

func (p *Process) doneLocked() chan struct{} {
	if p.done == nil {
		p.done = make(chan struct{})
		if p.ended {
			close(p.done)
		}
	}
	return p.done
}

// Status tells how the worker ended. With wait it blocks until then, without
// using a thread; otherwise a worker that has not ended gives [ErrRunning],
// at once. Once the event fd is readable or Done is closed, it never blocks
// and is never ErrRunning.
//
// The answer is always the same: a status, or an error that is [ErrLost].
// After [Process.Release] it is [ErrReleased].
func (p *Process) Status(wait bool) (Status, error) {
	if p.h == nil {
		return Status{}, errNotStarted
	}
	if wait && !p.isReleased() {
		p.await()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.released {
		return Status{}, ErrReleased
	}
	if !p.ended {
		p.tryLocked()
	}
	if !p.ended {
		return Status{}, ErrRunning
	}
	return p.status, p.err
}

// tryLocked collects if that is possible without blocking and nobody else is
// at it.
func (p *Process) tryLocked() {
	if p.collecting {
		return
	}
	st, err := p.h.try()
	if errors.Is(err, ErrRunning) {
		return
	}
	if err == nil {
		p.settle.collected(&st)
	}
	p.finishLocked(st, err)
}

func (p *Process) isReleased() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.released
}

// Wait blocks until the worker ends, without using a thread, and returns its
// state. Errors: [ErrLost], [ErrReleased]. Unlike [os.Process.Wait] it may be
// called any number of times.
func (p *Process) Wait() (*ProcessState, error) {
	st, err := p.Status(true)
	if err != nil {
		return nil, err
	}
	return &ProcessState{pid: p.Pid, status: st}, nil
}

// Done returns a channel that is closed after the status has been collected
// (or is known to be lost), whether or not anybody waits. The first call costs
// one parked goroutine until then.
func (p *Process) Done() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	done := p.doneLocked()
	p.collectLocked()
	return done
}

// collectLocked sees to it that somebody collects.
func (p *Process) collectLocked() {
	if !p.ended && !p.collecting && p.h != nil {
		go p.await()
	}
}

// EventFD gives away the event fd: the reading end of a pipe, close-on-exec
// and non-blocking, that becomes readable after the status has been collected
// or is known to be lost, never before, and stays so until its one byte is
// read (then it is at end of file). Readable means that [Process.Status] does
// not block. poll(2) of a pipe may say POLLHUP a moment before POLLIN: take both
// for readable. It is the caller's to close, before or after the worker's end,
// and outlives the Process.
//
// It can be had once: a second call is [ErrEventFDTaken]. The call costs one
// parked goroutine until the end. To poll it elsewhere get the number with
// SyscallConn or File.Fd (which leaves it non-blocking since Go 1.26). Where the
// network poller does not take it (epoll(7), max_user_watches), which an error of
// File.SetReadDeadline tells, File.Read does not wait and says EAGAIN: poll it then.
//
// Source: tfork_event_fd of the reference, which aborts on a second call.
func (p *Process) EventFD() (*os.File, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.h == nil:
		return nil, errNotStarted
	case p.released:
		return nil, ErrReleased
	case p.eventTaken:
		return nil, ErrEventFDTaken
	}
	file, writer, err := newEvent()
	if err != nil {
		return nil, fmt.Errorf("tfork: event fd: %w", err)
	}
	p.eventTaken = true
	p.event = writer
	if p.ended {
		p.event.fire()
	}
	p.collectLocked()
	return file, nil
}

// Signal sends sig to the worker, through its pidfd where there is one and
// never to a process that took over its number. A worker that was collected is
// [os.ErrProcessDone]; one that ended and was not collected yet takes the
// signal without effect. It does not wait for the worker; without a pidfd (before
// Linux 5.3) it waits for the waiter's answer. What the kernel refuses is a bare
// syscall.Errno (EPERM, EINVAL), as in [os.Process.Signal].
func (p *Process) Signal(sig os.Signal) error {
	s, ok := sig.(syscall.Signal)
	if !ok {
		return fmt.Errorf("tfork: unsupported signal type %T", sig)
	}
	if p.h == nil {
		return errNotStarted
	}
	p.mu.Lock()
	ended, released := p.ended, p.released
	p.mu.Unlock()
	switch {
	case released:
		return ErrReleased
	case ended:
		return os.ErrProcessDone
	}
	err := p.h.signal(s)
	var call *os.SyscallError
	switch {
	case errors.Is(err, os.ErrClosed):
		return os.ErrProcessDone // collected meanwhile
	case errors.As(err, &call):
		return call.Err // bare, as os.Process.Signal returns it
	}
	return err
}

// Kill sends SIGKILL, as [Process.Signal] does. It does not wait for the end.
func (p *Process) Kill() error { return p.Signal(syscall.SIGKILL) }

// Destroy kills the worker with SIGKILL if it still runs, waits for its end
// and collects it. It may be called at any time, also after the end and more
// than once, and is nil whenever the worker is gone and its status known; a
// lost status is [ErrLost]. Descendants of the worker are not touched: a
// cgroup does that.
//
// Source: tfork_destroy of the reference, without its kill by number.
func (p *Process) Destroy() error {
	if err := p.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) && !errors.Is(err, ErrLost) {
		return err
	}
	_, err := p.Status(true)
	return err
}

// Release gives the Process up: the worker goes on, and is collected in the
// background when it ends, so that no zombie stays. All other methods return
// [ErrReleased] then, except that Done and an event fd already taken still
// tell the end. Unlike [os.Process.Release] it leaves Pid alone.
func (p *Process) Release() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.h == nil {
		return errNotStarted
	}
	p.released = true
	p.collectLocked()
	return nil
}

// WithHandle lends the worker's pidfd to f: the number is valid, and refers to
// this worker, until f returns. [os.ErrNoHandle] where the kernel has none
// (before Linux 5.4), [os.ErrProcessDone] after the status was collected.
// Do not wait on it: the Process does. f may call any method of the Process.
func (p *Process) WithHandle(f func(handle uintptr)) error {
	if p.h == nil {
		return errNotStarted
	}
	if p.isReleased() {
		return ErrReleased
	}
	err := p.h.lend(f)
	if errors.Is(err, os.ErrClosed) {
		return os.ErrProcessDone
	}
	return err
}

// Strategy returns the strategy that this worker was started with: Direct or
// Waiter, never Auto.
func (p *Process) Strategy() Strategy { return p.choice.strategy }

// Guarded tells whether the promise holds for this worker: that its status
// cannot be lost, whatever other code in this process does. It does not for
// Direct on a kernel that keeps no exit status (before Linux 6.15).
func (p *Process) Guarded() bool { return p.choice.guarded }

// StrategyReason says why this strategy was taken, in one line for a person.
func (p *Process) StrategyReason() string { return p.choice.reason }
