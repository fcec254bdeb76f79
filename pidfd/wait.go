// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package pidfd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
)

// Exit is how a process ended.
type Exit struct {
	// Status is the raw wait status, with the methods that decode it.
	Status syscall.WaitStatus
	// Rusage is what the process and its waited-for descendants used; nil
	// unless we reaped it ourselves. It is shared: do not change it.
	Rusage *syscall.Rusage
	// Source is how the status was found out.
	Source Source
}

// Source is how a status was found out. Both are true.
type Source int

const (
	// Reaped is our own waitid(2) on a child.
	Reaped Source = iota + 1
	// ExitInfo is the kernel's record of a process that somebody else
	// reaped (PIDFD_INFO_EXIT, Linux 6.15).
	ExitInfo
)

// String returns "reaped", "exit info" or "Source(n)".
func (s Source) String() string {
	switch s {
	case Reaped:
		return "reaped"
	case ExitInfo:
		return "exit info"
	}
	return fmt.Sprintf("Source(%d)", int(s))
}

// Wait returns how the process ended, once it has. The goroutine is parked
// meanwhile; no thread is kept.
//
// A child of ours is reaped, if nobody else was faster. Anybody else's process
// (or a child whose status was taken) is waited for until it has been reaped,
// because the kernel tells its status then and not before: a zombie whose
// parent does not care keeps Wait waiting. All calls on one FD, at once or
// later, return the same Exit or [ErrStatusUnknown].
//
// When ctx is done first Wait returns ctx.Err(); an end that is already there
// wins. [FD.Close] makes it return [os.ErrClosed].
//
// Needs Linux 5.4 for children, 6.15 for the rest: before that, a process that
// is not ours, or whose status was taken, ends in ErrStatusUnknown, which is
// [ErrNotSupported] too. See waitid(2), ioctl_pidfd(2).
func (f *FD) Wait(ctx context.Context) (Exit, error) {
	if exit, err, ended := f.known(); ended {
		return exit, err
	}
	select {
	case f.turn <- struct{}{}:
	case <-ctx.Done():
		return f.lastTry(ctx)
	}
	defer func() { <-f.turn }()
	if !f.poll {
		return f.lookAround(ctx)
	}
	if ctx.Done() != nil {
		defer f.interruptWhenDone(ctx)()
	}
	return f.park(ctx)
}

// TryWait is [FD.Wait] without waiting: [ErrRunning] if there is no status yet.
// That includes a process that has ended and waits for somebody else to reap
// it.
func (f *FD) TryWait() (exit Exit, err error) {
	if exit, err, ended := f.known(); ended {
		return exit, err
	}
	if f.raw.Control(func(fd uintptr) { exit, err = f.try(int(fd)) }) != nil {
		return f.closed()
	}
	return exit, err
}

// park waits in the network poller. Its one RawConn.Read calls back at once
// and then at each change that the kernel reports (the poller is
// edge-triggered: ended, reaped, handed to a new parent), so no change can
// fall between a look and the next wait.
func (f *FD) park(ctx context.Context) (exit Exit, err error) {
	stopped := f.raw.Read(func(fd uintptr) bool {
		exit, err = f.try(int(fd))
		return err != ErrRunning
	})
	switch {
	case stopped == nil:
		return exit, err
	case errors.Is(stopped, os.ErrDeadlineExceeded):
		return f.lastTry(ctx)
	}
	return f.closed()
}

// interruptWhenDone makes the poller let go of a parked Read when ctx is done.
// The returned function takes that back; the deadline is not ours to touch
// before the turn and after it.
func (f *FD) interruptWhenDone(ctx context.Context) (undo func()) {
	fired := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(fired)
		f.file.SetReadDeadline(time.Unix(1, 0)) // long past; fails after Close only
	})
	return func() {
		if !stop() {
			<-fired
			f.file.SetReadDeadline(time.Time{})
		}
	}
}

// lastTry prefers a status that is there to the error of a context that is
// done.
func (f *FD) lastTry(ctx context.Context) (Exit, error) {
	exit, err := f.TryWait()
	if err == ErrRunning {
		err = ctx.Err()
	}
	return exit, err
}

// lookAround is for a descriptor that the network poller did not take, because
// it ran into a limit (epoll's max_user_watches). It looks again and again, and
// keeps no thread either.
func (f *FD) lookAround(ctx context.Context) (Exit, error) {
	const shortest, longest = time.Millisecond, 50 * time.Millisecond
	timer := time.NewTimer(shortest)
	defer timer.Stop()
	for pause := shortest; ; pause = min(2*pause, longest) {
		exit, err := f.TryWait()
		if err != ErrRunning {
			return exit, err
		}
		select {
		case <-timer.C:
			timer.Reset(pause)
		case <-ctx.Done():
			return f.lastTry(ctx)
		}
	}
}

// try makes one attempt and remembers what is final.
func (f *FD) try(fd int) (Exit, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ended {
		return f.exit, f.err
	}
	exit, err := f.sys.collect(fd)
	if err == ErrRunning {
		return Exit{}, err
	}
	if err == nil || errors.Is(err, ErrStatusUnknown) {
		f.ended, f.exit, f.err = true, exit, err
	}
	return exit, err
}

// known returns what is remembered.
func (f *FD) known() (exit Exit, err error, ended bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.exit, f.err, f.ended
}

// closed is the answer after Close, which may have come between an attempt of
// another goroutine and ours.
func (f *FD) closed() (Exit, error) {
	if exit, err, ended := f.known(); ended {
		return exit, err
	}
	return Exit{}, errClosed
}
