// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package tfork

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"
)

// Wait waits for the worker's end and for the copying to and from it, and
// frees what the Cmd holds. The error is nil for exit(0) and complete copies,
// an [*ExitError] for any other end; [ErrLost], an error of copying, the
// context's error or [ErrWaitDelay] otherwise. It blocks no thread.
func (c *Cmd) Wait() error {
	if c.Process == nil {
		return errors.New("exec: not started")
	}
	if c.ProcessState != nil {
		return errors.New("exec: Wait was already called")
	}
	state, err := c.Process.Wait()
	if err == nil && !state.Success() {
		err = &ExitError{ProcessState: state}
	}
	c.ProcessState = state
	var timer *time.Timer
	if c.watch != nil {
		watched := c.watch.result()
		c.watch = nil
		timer = watched.timer
		if err == nil {
			err = watched.err
		}
	}
	// The worker's own end explains more than an error of copying, which may
	// be its consequence.
	if copyErr := c.awaitCopies(timer); err == nil {
		err = copyErr
	}
	closeAll(c.pipes)
	c.pipes = nil
	return err
}

// startCopies starts the copying goroutines. The last one to end reports the
// first error.
func (c *Cmd) startCopies() {
	if len(c.copies) == 0 {
		return
	}
	result := make(chan error, 1)
	c.copyErr = result
	left := new(atomic.Int32)
	left.Store(int32(len(c.copies)))
	first := new(atomic.Pointer[error])
	for _, copyFn := range c.copies {
		go func() {
			if err := copyFn(); err != nil {
				first.CompareAndSwap(nil, &err)
			}
			if left.Add(-1) > 0 {
				return
			}
			if err := first.Load(); err != nil {
				result <- *err
				return
			}
			result <- nil
		}()
	}
	c.copies = nil
}

// awaitCopies waits for the copying goroutines, no longer than timer or, from
// now on, WaitDelay allow; then it closes their pipes.
func (c *Cmd) awaitCopies(timer *time.Timer) error {
	if timer != nil {
		defer timer.Stop()
	}
	if c.copyErr == nil {
		return nil
	}
	copyErr := c.copyErr
	c.copyErr = nil
	if timer == nil {
		if c.WaitDelay == 0 {
			return <-copyErr
		}
		select {
		case err := <-copyErr:
			return err // without a timer
		default:
		}
		timer = time.NewTimer(c.WaitDelay)
		defer timer.Stop()
	}
	select {
	case err := <-copyErr:
		return err
	case <-timer.C:
		closeAll(c.pipes)
		<-copyErr // its error comes from closing
		return ErrWaitDelay
	}
}

// ctxWatch acts when the context of a running command is done.
type ctxWatch struct {
	stop    func() bool
	reaped  chan struct{}  // unbuffered: Wait has seen the end
	outcome chan ctxResult // buffered: the watch always ends, waited for or not
}

// ctxResult is what a watch leaves to Wait.
type ctxResult struct {
	err error
	// timer, if not nil, is running since the context was done, for WaitDelay.
	timer *time.Timer
}

// watchContext arranges for Cancel and WaitDelay. Until the context is done it
// costs no goroutine.
func (c *Cmd) watchContext() {
	if c.ctx == nil || c.ctx.Done() == nil || c.Cancel == nil && c.WaitDelay == 0 {
		return
	}
	w := &ctxWatch{reaped: make(chan struct{}), outcome: make(chan ctxResult, 1)}
	w.stop = context.AfterFunc(c.ctx, func() { w.outcome <- c.interrupt(w.reaped) })
	c.watch = w
}

// result ends the watch after the worker's end.
func (w *ctxWatch) result() ctxResult {
	if w.stop() {
		return ctxResult{}
	}
	select {
	case w.reaped <- struct{}{}:
		return <-w.outcome
	case r := <-w.outcome:
		return r
	}
}

// interrupt is the whole reaction to the context's end.
func (c *Cmd) interrupt(reaped <-chan struct{}) ctxResult {
	err := c.cancel()
	if c.WaitDelay == 0 {
		return ctxResult{err: err}
	}
	timer := time.NewTimer(c.WaitDelay)
	select {
	case <-reaped:
		return ctxResult{err: err, timer: timer} // Wait goes on with it
	case <-timer.C:
	}
	killed, err := c.killAfterDelay(err)
	if c.copyErr == nil {
		return ctxResult{err: err}
	}
	return ctxResult{err: c.abandonCopies(killed, err)}
}

// cancel calls Cancel and returns the error that Wait shall report if the
// worker ended well all the same.
func (c *Cmd) cancel() error {
	if c.Cancel == nil {
		return nil
	}
	err := c.Cancel()
	switch {
	case err == nil:
		return c.ctx.Err() // what happens from now on may be its doing
	case errors.Is(err, os.ErrProcessDone):
		return nil
	}
	return fmt.Errorf("exec: canceling Cmd: %w", err)
}

// killAfterDelay kills a worker that outlived WaitDelay.
func (c *Cmd) killAfterDelay(err error) (killed bool, _ error) {
	killErr := c.Process.Kill()
	switch {
	case killErr == nil:
		return true, err
	case errors.Is(killErr, os.ErrProcessDone):
		return false, err
	}
	return false, fmt.Errorf("exec: killing Cmd: %w", killErr)
}

// abandonCopies ends the copying goroutines after WaitDelay. Signals come
// before it: the worker shall die of those, not of SIGPIPE.
func (c *Cmd) abandonCopies(killed bool, err error) error {
	copyErr := c.copyErr
	c.copyErr = nil
	select {
	case e := <-copyErr:
		if err == nil && !killed {
			return e
		}
		return err
	default:
	}
	closeAll(c.pipes)
	<-copyErr // its error comes from closing
	if err == nil {
		return ErrWaitDelay
	}
	return err
}
