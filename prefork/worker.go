// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package prefork

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"sync"
	"time"

	"github.com/seed-cb702d51/tfork-go/prefork/internal/message"
	"github.com/seed-cb702d51/tfork-go/prefork/internal/names"
	"github.com/seed-cb702d51/tfork-go/tfork"
)

// worker is a process that serves: a worker, or the master of a service with
// InhibitPrefork.
type worker struct {
	*process
	cancel context.CancelFunc
	once   sync.Once
	code   int           // exit code after a stop
	left   chan struct{} // closed when it is to leave
}

// workerMain is a worker's whole life.
func workerMain(w *tfork.Worker) int {
	p, err := enter(w, catchSignals(names.Worker))
	if err == nil {
		err = applyLimits(p.boot.Settings, p.boot.Instance)
	}
	if err != nil {
		return p.refuse(err)
	}
	shareProcessors(p.boot.Settings.Children)
	return newWorker(p).run(w, false)
}

// refuse ends a process that cannot even begin.
func (p *process) refuse(err error) int {
	if p == nil || p.log == nil {
		fmt.Fprintln(os.Stderr, err)
		return ExitRestart
	}
	p.log.Error("cannot start", "error", err)
	return ExitRestart
}

// shareProcessors gives each worker its share of the processors, unless the
// environment says how many: package accept says why that matters.
func shareProcessors(workers int) {
	if os.Getenv("GOMAXPROCS") == "" && workers > 1 {
		runtime.GOMAXPROCS((runtime.NumCPU() + workers - 1) / workers)
	}
}

// newWorker returns a worker that has not begun.
func newWorker(p *process) *worker {
	return &worker{process: p, left: make(chan struct{})}
}

// run runs the hooks in their order, and Serve. init says that this is a master
// that serves by itself.
func (w *worker) run(tw *tfork.Worker, init bool) int {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	w.cancel = cancel
	if err := w.task.open(w.boot.Sockets); err != nil {
		return w.refuse(err)
	}
	defer w.task.closeAll()
	for _, f := range flatten(w.boot.Sockets) {
		f.Close()
	}
	w.answerAt(tw, w.answer)
	defer w.close()
	go w.listen()
	go w.signals()
	err := w.serve(ctx, init)
	return w.end(err)
}

// serve is the hooks and Serve. What comes after a stop is not begun.
func (w *worker) serve(ctx context.Context, init bool) error {
	t, s := w.task, w.service
	hooks := []func(*Task) error{s.PostFork, s.BeforeLoop}
	if init {
		hooks = append([]func(*Task) error{s.Init}, hooks...)
	}
	for _, hook := range hooks {
		if hook == nil {
			continue
		}
		if err := hook(t); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return nil
		}
	}
	go w.reopens.work(nil, w.reopen)
	go w.beat()
	if l := w.lifetime(); l != (lifetime{}) {
		go w.recycle(l, t.after(l.requests))
	}
	if !s.ManualReady {
		t.Ready()
	}
	return s.Serve(ctx, t)
}

// end says with which code the process leaves, and logs why.
func (w *worker) end(err error) int {
	select {
	case <-w.left:
		if err != nil && exitCode(err) != ExitRestart {
			return exitCode(err)
		}
		return w.code
	default:
	}
	code := exitCode(err)
	if err != nil {
		w.log.Error("the service ended", "error", err, "code", code)
	}
	return code
}

// stop makes the worker leave: it takes nothing new and finishes what it has.
// Only the first call counts.
func (w *worker) stop(reason string, code int) {
	w.once.Do(func() {
		w.log.Info("leaving", "reason", reason)
		w.code = code
		w.setState(StateDraining)
		close(w.left)
		w.task.hangUp()
		w.cancel()
	})
}

// listen obeys the supervising process until it is gone. Then the worker
// finishes what it serves, in a time of its own: nobody is left to end it.
func (w *worker) listen() {
	w.channel.receive(func(m message.Message) {
		switch m.Kind {
		case message.Stop:
			go w.stop(string(m.Body), ExitDone)
		case message.Reopen:
			w.reopens.ask(w.channel.take())
		case message.Poke:
			w.task.poke()
		case message.Alone:
			w.orphaned.Store(true)
		}
	})
	w.orphaned.Store(true)
	w.leaveBy("the supervising process is gone", ExitDone)
}

// leaveBy is stop with a time limit of the worker's own, for the cases in which
// nobody else has one.
func (w *worker) leaveBy(reason string, code int) {
	time.AfterFunc(w.boot.Settings.StopTimeout, func() {
		w.log.Error("could not finish in time", "reason", reason)
		w.close()
		os.Exit(code)
	})
	w.stop(reason, code)
}

// answer is what the worker's own socket says.
func (w *worker) answer(q message.Message) message.Message {
	switch q.Kind {
	case message.Ping:
		return message.Message{Kind: message.Done}
	case message.Status:
		return message.JSON(message.Row, w.row())
	case message.Reopen:
		w.reopens.ask(nil)
		return message.Message{Kind: message.Done}
	}
	return message.Text(message.Refuse, "a worker cannot do that: ask its master or the supervisor")
}

// beat gives signs of life until the process ends.
func (w *worker) beat() {
	interval := w.boot.Settings.HeartbeatTimeout / 3
	if interval <= 0 {
		return
	}
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for ; ; <-tick.C {
		w.checked(interval)
	}
}

// checked gives one sign of life, if the service agrees. One that is leaving is
// not asked: it has its own time limit.
func (w *worker) checked(interval time.Duration) {
	leaving := false
	select {
	case <-w.left:
		leaving = true
	default:
	}
	if check := w.service.Check; check != nil && !leaving {
		ctx, cancel := context.WithTimeout(context.Background(), interval)
		defer cancel()
		if err := check(ctx); err != nil {
			w.log.Warn("no sign of life", "error", err)
			return
		}
	}
	w.channel.send(message.Message{Kind: message.Beat})
}
