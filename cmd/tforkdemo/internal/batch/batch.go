// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package batch

import (
	"os"
	"syscall"
	"time"

	"github.com/seed-cb702d51/tfork-go/cgroup"
	"github.com/seed-cb702d51/tfork-go/tfork"
)

// Batch is what to run and how. All fields must be set, except where noted.
type Batch struct {
	Source Source
	// Parallel is how many run at a time, at least 1.
	Parallel int
	// Grace is the time between SIGTERM and SIGKILL when the batch is stopped.
	Grace time.Duration
	// Make returns the command, not started. Many goroutines call it at once.
	Make func(args []string) *tfork.Cmd
	// Cgroup, if not nil, says how to make a cgroup for each command.
	Cgroup *cgroup.Options
	// Started, if not nil, is called after each start, by many goroutines at
	// once, and holds up its own command only.
	Started func(Command, *tfork.Process)
	// Ended is called with each result, by the goroutine of Run.
	Ended func(Result)
	// Stops tells which signals stop the batch; others are passed on.
	Stops func(os.Signal) bool

	live    live
	stopped os.Signal
	kill    <-chan time.Time // fires when the grace is over
	leave   <-chan time.Time // fires when a stopped batch has read enough
	running int
	index   int
}

// readOn is how long a stopped batch goes on reading a source without a total,
// to report what is there: whoever writes it may never end.
const readOn = time.Second

// Run runs everything and returns when all has ended.
//
// A first signal that stops the batch starts nothing more and sends SIGTERM to
// what runs, then SIGKILL after the grace or at a second such signal. It is
// what Run returns then; otherwise nil.
func (b *Batch) Run(signals <-chan os.Signal) (stopped os.Signal) {
	quit := make(chan struct{})
	defer close(quit)
	source := b.feed(quit)
	ended := make(chan Result)
	for source != nil || b.running > 0 {
		next := source
		if b.stopped == nil && b.running == b.Parallel {
			next = nil
		}
		select {
		case c, ok := <-next:
			if !ok {
				source = nil
				break
			}
			select {
			case sig := <-signals: // before anything is started in spite of it
				b.onSignal(sig)
			default:
			}
			b.begin(c, ended)
		case r := <-ended:
			b.running--
			b.Ended(r)
		case sig := <-signals:
			b.onSignal(sig)
		case <-b.leave:
			source = nil
		case <-b.kill:
			b.live.stop(syscall.SIGKILL)
		}
	}
	return b.stopped
}

// feed reads the source on a goroutine of its own, because that may block.
func (b *Batch) feed(quit <-chan struct{}) <-chan Command {
	commands := make(chan Command)
	go func() {
		defer close(commands)
		for {
			c, ok := b.Source.Next()
			if !ok {
				return
			}
			select {
			case commands <- c:
			case <-quit:
				return
			}
		}
	}()
	return commands
}

// begin starts one command, or says at once why not.
func (b *Batch) begin(c Command, ended chan<- Result) {
	r := Result{Command: c, Index: b.index, Outcome: NotStarted}
	b.index++
	switch {
	case c.Err != nil:
		r.Err = c.Err
		b.Ended(r)
	case b.stopped != nil:
		r.Err = ErrStopped
		b.Ended(r)
	default:
		b.running++
		go func() {
			b.run(&r)
			ended <- r
		}()
	}
}

// run is the life of one process.
func (b *Batch) run(r *Result) {
	begin := time.Now()
	cmd := b.Make(r.Args)
	wait, err := Start(cmd, b.Cgroup)
	if err != nil {
		r.Err = err
		return
	}
	p := cmd.Process
	b.live.add(p)
	defer b.live.remove(p)
	r.Pid, r.Strategy, r.Guarded, r.Placement = p.Pid, p.Strategy(), p.Guarded(), p.Placement()
	if b.Started != nil {
		b.Started(r.Command, p)
	}
	st, err := p.Status(true)
	r.Took = time.Since(begin)
	waitErr := wait()
	if err != nil {
		r.Outcome, r.Err = Lost, err
		return
	}
	r.Outcome, r.Status = outcomeOf(st), st
	if waitErr != nil && waitErr.Error() != st.String() {
		r.Err = waitErr // of copying its output, or of removing its cgroup
	}
}

func (b *Batch) onSignal(sig os.Signal) {
	switch {
	case !b.Stops(sig):
		b.live.send(sig)
	case b.stopped == nil:
		b.stopped = sig
		b.live.stop(syscall.SIGTERM)
		b.kill = time.After(b.Grace)
		if b.Source.Total() < 0 {
			b.leave = time.After(readOn)
		}
	default:
		b.live.stop(syscall.SIGKILL)
	}
}
