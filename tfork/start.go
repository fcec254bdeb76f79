// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package tfork

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"syscall"

	"github.com/seed-cb702d51/tfork-go/internal/sys"
)

// launch is everything that a strategy needs to start one worker. What it
// refers to is lent for the time of the start.
type launch struct {
	path      string
	args, env []string
	dir       string
	files     []uintptr // of the worker, by number; ^0: closed
	sys       *syscall.SysProcAttr
	dedicated bool
}

// Start starts the worker. On success Process is set and [Cmd.Wait] must be
// called later to free what the Cmd holds.
//
// It blocks until the worker's program is being executed, so an error of that
// (an [*os.PathError] with Op "fork/exec") is an error of Start. A second call
// is an error, also after a failed first one. With an error nothing is left
// behind, no process, no descriptor, no goroutine, but a waiter, which ends by
// itself or serves the next start.
//
// A field that the strategy cannot honour is refused with an error that names
// it.
func (c *Cmd) Start() error {
	if !c.firstStart() {
		return errors.New("exec: already started")
	}
	err := c.start()
	closeAll(c.childFDs)
	c.childFDs = nil
	if err != nil {
		closeAll(c.pipes)
		c.pipes, c.copies = nil, nil
		return err
	}
	c.startCopies()
	c.watchContext()
	return nil
}

func (c *Cmd) start() error {
	if err := c.check(); err != nil {
		return err
	}
	// Our ends of pipes need it, and so will the wait for the worker: better no
	// worker than a caller that is ended by its runtime.
	if err := sys.OpenPoller(); err != nil {
		return fmt.Errorf("tfork: %w", err)
	}
	l, s, err := c.prepare()
	if err == nil {
		defer runtime.KeepAlive(c) // its files are in l by number
		err = c.startProcess(l, &s)
	}
	if err != nil {
		s.undo()
	}
	return err
}

// check finds what is wrong with c before anything is opened.
func (c *Cmd) check() error {
	if c.Path == "" && c.Err == nil {
		c.Err = errors.New("exec: no command")
	}
	switch {
	case c.Err != nil:
		return c.Err
	case c.Cancel != nil && c.ctx == nil:
		return errors.New("exec: command with a non-nil Cancel was not created with CommandContext")
	case c.Payload != nil && c.function == "":
		return errors.New("tfork: Payload is for worker functions: make the Cmd with Func")
	}
	if c.function != "" {
		if err := checkFunc(c.function); err != nil {
			return err
		}
	}
	if c.ctx != nil {
		return c.ctx.Err()
	}
	return nil
}

// started is what a start holds besides the process.
type started struct {
	settler
	place *place // nil without a cgroup
}

// undo gives everything back after a start that failed.
func (s *started) undo() {
	s.settler.ended()
	if s.place != nil {
		s.place.close(s.evidence != nil)
	}
}

// prepare opens what the worker needs. Descriptors that only the start needs
// are in c.childFDs.
func (c *Cmd) prepare() (l *launch, s started, err error) {
	l = &launch{path: c.Path, args: c.argv(), dir: c.Dir, sys: c.SysProcAttr, dedicated: c.Dedicated}
	l.files, err = c.stdio(make([]uintptr, 0, 8))
	if err != nil {
		return nil, s, err
	}
	for _, f := range c.ExtraFiles {
		l.files = append(l.files, blockingFD(f))
	}
	if l.env, err = c.environ(); err != nil {
		return nil, s, err
	}
	if err = checkDir(l); err != nil {
		return nil, s, err
	}
	if s.place, err = c.locate(l); err != nil {
		return nil, s, err
	}
	joins := s.place != nil && s.place.way == PlacedJoined
	if c.function != "" || joins {
		if s.release, err = c.boot(l, joins); err != nil {
			return nil, s, err
		}
	}
	if s.place != nil {
		s.evidence = newEvidence(s.place)
		err = s.place.enter(c, l)
	}
	return l, s, err
}

// checkDir makes the error of a bad Dir clearer than exec would. With system
// attributes (a chroot, another user) only the worker itself can tell.
func checkDir(l *launch) error {
	if l.dir == "" || l.sys != nil {
		return nil
	}
	_, err := os.Stat(l.dir)
	var pe *os.PathError
	if errors.As(err, &pe) {
		pe.Op = "chdir"
	}
	return err
}

// startProcess tries the strategies that c allows, in order, and sets
// c.Process. Only a strategy that is not supported here makes room for the
// next one.
func (c *Cmd) startProcess(l *launch, s *started) error {
	options, err := c.options()
	if err != nil {
		return err
	}
	var refused []error
	for _, o := range options {
		pid, h, err := o.start(l)
		if err == nil {
			err = c.confirm(pid, h, s)
		}
		if err == nil {
			c.Process = newProcess(pid, h, o.choice, s.settler)
			if s.place != nil {
				c.Process.placed = s.place.way
				s.place.close(true)
			}
			return nil
		}
		err = startError(err, c.Path, s.place)
		if !errors.Is(err, ErrNotSupported) {
			return err
		}
		refused = append(refused, err)
	}
	if len(refused) == 1 {
		return refused[0]
	}
	return errors.Join(refused...)
}

// confirm waits until a worker with a cgroup is inside. If it cannot be, the
// process is collected: nothing was started.
func (c *Cmd) confirm(pid int, h handle, s *started) error {
	if s.place == nil {
		return nil
	}
	if s.place.way == PlacedJoined {
		closeAll(c.childFDs) // else the pipe would not end
		c.childFDs = nil
	}
	err := s.place.confirm(pid)
	if err != nil {
		h.signal(syscall.SIGKILL)
		h.wait()
		h.close()
		withdrawPidFD(c.SysProcAttr)
	}
	return err
}

// startError makes what a strategy answers an error of Start: a bare errno is
// that of fork or exec, unless the cgroup is to blame.
func startError(err error, path string, p *place) error {
	errno, ok := err.(syscall.Errno)
	if !ok {
		return err
	}
	err = &os.PathError{Op: "fork/exec", Path: path, Err: errno}
	if p != nil {
		return p.blame(err)
	}
	return err
}
