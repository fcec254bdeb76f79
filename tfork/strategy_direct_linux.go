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

	"github.com/seed-cb702d51/tfork-go/internal/sys"
	"github.com/seed-cb702d51/tfork-go/pidfd"
)

func currentSurroundings() surroundings {
	s := surroundings{exitInfo: exitInfoKept(), sigchldIgnored: sys.SigchldIgnored()}
	if s.exitInfo != nil || s.sigchldIgnored {
		s.waiter = waiterPossible() // asks the file system
	}
	return s
}

// exitInfoKept is nil if a worker's status survives that somebody else takes
// it.
func exitInfoKept() error {
	if err := directParks(); err != nil {
		return err
	}
	return pidfd.HaveExitInfo()
}

// directParks is nil if waiting for a worker blocks no thread.
func directParks() error { return pidfd.HaveSet() }

func directOption(reason string) option {
	return option{
		choice: choice{strategy: Direct, guarded: exitInfoKept() == nil, reason: reason},
		start:  startDirect,
	}
}

// startDirect starts the worker as our own child, with a pidfd from its birth
// where the kernel gives one.
func startDirect(l *launch) (int, handle, error) {
	if err := checkAttributes(l); err != nil {
		return 0, nil, err
	}
	attr := &syscall.ProcAttr{Dir: l.dir, Env: l.env, Files: l.files, Sys: l.sys}
	parks := directParks()
	if shortage(parks) {
		return 0, nil, fmt.Errorf("tfork: strategy direct: cannot tell what the kernel can do: %w", parks)
	}
	if parks != nil {
		pid, err := syscall.ForkExec(l.path, l.args, attr)
		if err != nil {
			return 0, nil, err
		}
		return pid, &pidHandle{pid: pid}, nil
	}
	var sysAttr syscall.SysProcAttr
	if l.sys != nil {
		sysAttr = *l.sys
	}
	fd, users := -1, sysAttr.PidFD
	sysAttr.PidFD = &fd
	attr.Sys = &sysAttr
	pid, err := syscall.ForkExec(l.path, l.args, attr)
	if err != nil {
		return 0, nil, err
	}
	if users != nil {
		*users = secondPidfd(pid, fd)
	}
	h := &pidfdHandle{}
	h.take(fd)
	return pid, h, nil
}

// secondPidfd returns a pidfd for the user who asked for one, with flags of
// its own: ours is non-blocking, and duplicates share that. If the worker was
// already reaped by somebody else its number may be another's; then the
// duplicate is as good, because nothing about it blocks any more.
func secondPidfd(pid, ours int) int {
	theirs, err := unix.PidfdOpen(pid, 0)
	if err == nil {
		unix.CloseOnExec(theirs)
		// Signal 0 reaches an unreaped process only: then pid was still its
		// number when it was opened.
		if unix.PidfdSendSignal(ours, 0, nil, 0) == nil {
			return theirs
		}
		unix.Close(theirs)
	}
	theirs, err = unix.FcntlInt(uintptr(ours), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return -1
	}
	return theirs
}

// pidfdHandle collects through a pidfd.
type pidfdHandle struct{ descriptor }

func (h *pidfdHandle) wait() (Status, error) {
	if st, ok := h.waitBriefly(); ok {
		return st, nil
	}
	fd, err := h.get()
	if err != nil {
		return Status{}, fmt.Errorf("%w: %w", ErrLost, err)
	}
	return collected(fd.Wait(context.Background()))
}

func (h *pidfdHandle) try() (Status, error) {
	fd, err := h.get()
	if err != nil {
		return Status{}, fmt.Errorf("%w: %w", ErrLost, err)
	}
	return collected(fd.TryWait())
}

// brief limits waitBriefly: so many threads at once, for so long.
var brief = make(chan struct{}, 4)

const briefTime = 1 // millisecond

// waitBriefly collects a worker that ends very soon, as most do for which
// somebody waits: to enter it into the netpoller and to be woken up from there
// costs a tenth of what a short worker takes altogether. Whoever is not among
// the few, or not done in time, parks.
func (h *pidfdHandle) waitBriefly() (Status, bool) {
	number := h.unentered()
	if number < 0 {
		return Status{}, false
	}
	select {
	case brief <- struct{}{}:
	default:
		return Status{}, false
	}
	fds := []unix.PollFd{{Fd: int32(number), Events: unix.POLLIN}}
	n, err := unix.Poll(fds, briefTime)
	<-brief
	if err != nil || n == 0 {
		return Status{}, false
	}
	w, err := h.collectUnentered()
	if err != nil || w.Pid == 0 {
		return Status{}, false // somebody else has it: that takes longer
	}
	return Status{wait: w.Status, rusage: &w.Rusage, source: SourceWait}, true
}

// collected turns what the pidfd tells into our words.
func collected(e pidfd.Exit, err error) (Status, error) {
	switch {
	case errors.Is(err, pidfd.ErrRunning):
		return Status{}, ErrRunning
	case err != nil:
		return Status{}, fmt.Errorf("%w: %w", ErrLost, err)
	}
	source := SourceWait
	if e.Source == pidfd.ExitInfo {
		source = SourceExitInfo
	}
	return Status{wait: e.Status, rusage: e.Rusage, source: source}, nil
}

// pidHandle collects by number, where there is no pidfd: Linux before 5.4 and
// some sandboxes. It blocks a thread while it waits, and is never guarded.
type pidHandle struct {
	pid int
	// mu is held while the number is used, and while it is given up by
	// reaping: between the two it may be another process's.
	mu     sync.Mutex
	reaped bool
}

func (h *pidHandle) wait() (Status, error) {
	// Peek first: reaping must not happen while signal uses the number.
	if _, err := sys.WaitID(unix.P_PID, h.pid, unix.WEXITED|unix.WNOWAIT); err != nil {
		return h.gone(err)
	}
	return h.try()
}

func (h *pidHandle) try() (Status, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	w, err := sys.WaitID(unix.P_PID, h.pid, unix.WEXITED|unix.WNOHANG)
	if err != nil {
		h.reaped = true
		return Status{}, fmt.Errorf("%w: %w", ErrLost, err)
	}
	if w.Pid == 0 {
		return Status{}, ErrRunning
	}
	h.reaped = true
	return Status{wait: w.Status, rusage: &w.Rusage, source: SourceWait}, nil
}

func (h *pidHandle) gone(err error) (Status, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.reaped = true
	return Status{}, fmt.Errorf("%w: %w", ErrLost, err)
}

func (h *pidHandle) signal(sig syscall.Signal) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.reaped {
		return os.ErrProcessDone
	}
	err := unix.Kill(h.pid, sig)
	if err == unix.ESRCH {
		return os.ErrProcessDone
	}
	return err
}

func (h *pidHandle) lend(func(uintptr)) error { return os.ErrNoHandle }

func (h *pidHandle) close() {}
