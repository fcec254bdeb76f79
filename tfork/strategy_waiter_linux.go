// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package tfork

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/seed-cb702d51/tfork-go/internal/feature"
	"github.com/seed-cb702d51/tfork-go/internal/role"
	"github.com/seed-cb702d51/tfork-go/pidfd"
	"github.com/seed-cb702d51/tfork-go/waiter"
)

// waiters are this process's waiters. Nothing is started before it is needed.
var waiters waiter.Pool

// CloseIdle ends this process's shared waiter if it serves no worker, and
// returns when it is gone. The next start that needs one starts a new one.
// A program need not call it: a waiter ends by itself when its caller does.
func CloseIdle() { waiters.CloseIdle() }

// waiterSupported tells why this system cannot run a waiter.
func waiterSupported() error {
	if err := unix.Access(role.Exe, unix.X_OK); err != nil {
		return &feature.Error{Name: "waiter: executing " + role.Exe, Reason: err}
	}
	return nil
}

func waiterOption(reason string) option {
	return option{
		choice: choice{strategy: Waiter, guarded: true, reason: reason},
		start:  startThroughWaiter,
	}
}

// serveWaiter is the waiter's whole life.
func serveWaiter(fd int) error {
	waiter.Serve(fd)
	return errors.New("the waiter came back")
}

// startThroughWaiter starts the worker as the waiter's child.
func startThroughWaiter(l *launch) (int, handle, error) {
	w, err := waiters.Spawn(&waiter.Request{
		Path: l.path, Args: l.args, Env: l.env, Dir: l.dir,
		Files: l.files, Sys: l.sys, Dedicated: l.dedicated,
	})
	if err != nil {
		var field *waiter.FieldError
		if errors.As(err, &field) {
			err = fmt.Errorf("tfork: strategy waiter cannot honour %w", err)
		}
		return 0, nil, err
	}
	fd, ok := w.TakePidFD()
	if !ok {
		fd = -1
	}
	return w.Pid(), &waiterHandle{worker: w, raw: fd}, nil
}

// waiterHandle collects what the waiter reports. The pidfd, where there is
// one, is for signals, and for the worker's end if the waiter is killed.
type waiterHandle struct {
	worker *waiter.Worker

	mu  sync.Mutex
	raw int       // a pidfd that is not wrapped yet, or -1: most are never needed
	fd  *pidfd.FD // nil: none, or not wrapped yet
}

// pidfd returns the worker's pidfd, or nil where there is none.
func (h *waiterHandle) pidfd() *pidfd.FD {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.raw >= 0 {
		// An error means that this system's pidfds are of no use.
		h.fd, _ = pidfd.New(h.raw)
		h.raw = -1
	}
	return h.fd
}

func (h *waiterHandle) wait() (Status, error) {
	st, err := h.report()
	if !errors.Is(err, waiter.ErrGone) {
		return st, err
	}
	fd := h.pidfd()
	if fd == nil {
		return Status{}, fmt.Errorf("%w: %w", ErrLost, err)
	}
	return h.orphan(fd.Wait(context.Background()))
}

func (h *waiterHandle) try() (Status, error) {
	select {
	case <-h.worker.Done():
	default:
		return Status{}, ErrRunning
	}
	st, err := h.report()
	if !errors.Is(err, waiter.ErrGone) {
		return st, err
	}
	fd := h.pidfd()
	if fd == nil {
		return Status{}, fmt.Errorf("%w: %w", ErrLost, err)
	}
	return h.orphan(fd.TryWait())
}

// report blocks for the waiter's word.
func (h *waiterHandle) report() (Status, error) {
	ws, ru, err := h.worker.Result()
	if err != nil {
		return Status{}, err
	}
	return Status{wait: ws, rusage: ru, source: SourceWaiter}, nil
}

// orphan is the end of a worker whose waiter was killed.
func (h *waiterHandle) orphan(e pidfd.Exit, err error) (Status, error) {
	st, err := collected(e, err)
	if errors.Is(err, ErrLost) {
		err = fmt.Errorf("%w (%w)", err, waiter.ErrGone)
	}
	return st, err
}

func (h *waiterHandle) signal(sig syscall.Signal) error {
	if fd := h.pidfd(); fd != nil {
		return fd.Signal(sig)
	}
	return h.worker.Signal(sig)
}

func (h *waiterHandle) lend(f func(uintptr)) error {
	fd := h.pidfd()
	if fd == nil {
		return os.ErrNoHandle
	}
	return fd.With(func(n int) error { f(uintptr(n)); return nil })
}

func (h *waiterHandle) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.raw >= 0 {
		unix.Close(h.raw)
		h.raw = -1
	}
	if h.fd != nil {
		h.fd.Close()
	}
}
