// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package tfork

import (
	"context"
	"errors"
	"fmt"
	"os"
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
	err := unix.Access(role.Exe, unix.X_OK)
	switch err {
	case nil:
		return nil
	case unix.ENOENT, unix.ENOTDIR, unix.EACCES, unix.EPERM, unix.ENOSYS:
		return &feature.Error{Name: "waiter: executing " + role.Exe, Reason: err}
	}
	// It could not be told, which is no answer.
	return fmt.Errorf("waiter: %w", &os.PathError{Op: "access", Path: role.Exe, Err: err})
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
	if err := checkAttributes(l); err != nil {
		return 0, nil, err
	}
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
	h := &waiterHandle{worker: w}
	h.takePidFD()
	return w.Pid(), h, nil
}

// waiterHandle collects what the waiter reports. The pidfd, where there is
// one, is for signals, and for the worker's end if the waiter is killed.
type waiterHandle struct {
	descriptor
	worker *waiter.Worker
}

// takePidFD tells a worker that has ended already, whose pidfd is closed, from a
// system that has none.
func (h *waiterHandle) takePidFD() {
	if fd, ok := h.worker.TakePidFD(); ok {
		h.take(fd)
		return
	}
	h.take(-1)
	select {
	case <-h.worker.Done():
		if _, _, err := h.worker.Result(); err == nil {
			h.err = os.ErrClosed
		}
	default:
	}
}

func (h *waiterHandle) wait() (Status, error) {
	st, err := h.report()
	if !errors.Is(err, waiter.ErrGone) {
		return st, err
	}
	fd, noFD := h.get()
	if noFD != nil {
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
	fd, noFD := h.get()
	if noFD != nil {
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
	if _, err := h.get(); err != nil && !errors.Is(err, os.ErrClosed) {
		// Through the waiter, which knows whether it has reaped.
		err := h.worker.Signal(sig)
		if errors.Is(err, waiter.ErrGone) {
			err = fmt.Errorf("%w: %w", ErrLost, err)
		}
		return err
	}
	return h.descriptor.signal(sig)
}
