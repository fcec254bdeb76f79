// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package prefork

import (
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/seed-cb702d51/tfork-go/prefork/internal/message"
	"github.com/seed-cb702d51/tfork-go/prefork/internal/names"
	"github.com/seed-cb702d51/tfork-go/tfork"
)

// States of a process, as the process table shows them.
const (
	StateStarting = "starting"
	StateReady    = "ready"
	StateDraining = "draining"
	// StateSilent is a process that did not answer.
	StateSilent = "no answer"
)

// process is what a master and a worker have in common: the side of it that was
// started.
type process struct {
	boot      *boot
	service   *Service
	task      *Task
	channel   *channel
	out       *logOutput
	log       *slog.Logger
	started   time.Time
	state     atomic.Pointer[string]
	stopNames func()
	orphaned  atomic.Bool // nobody may be left who cleans up after it
	caught    caught
	reopens   reopener
}

// caught are the signals that came and have not been obeyed. SIGTERM has a
// channel of its own, in which no other signal takes its place.
type caught struct{ term, others chan os.Signal }

// enter takes over what the supervising process prepared.
func enter(w *tfork.Worker, caught caught) (*process, error) {
	b, err := unpack(w)
	if err != nil {
		return nil, err
	}
	if err := unwatch(b.Sockets); err != nil {
		return nil, err
	}
	setComm(comm(b.Role, b.Service, b.Instance))
	p := &process{boot: b, started: time.Now(), stopNames: func() {}, caught: caught, reopens: newReopener()}
	p.setState(StateStarting)
	p.out = inheritLog(b.LogFile, w.Files[fileLog])
	p.log = newLogger(p.out, b.Role, b.Service, b.Instance)
	if err := p.out.takeStacks(); err != nil {
		p.log.Error("stacks go to standard error only", "error", err)
	}
	if p.service, err = lookup(b.Service); err != nil {
		return p, err
	}
	if p.channel, err = adoptChannel(w.Files[fileChannel]); err != nil {
		return p, err
	}
	// The first message says what could not be known before the start.
	welcome, err := message.Read(p.channel)
	if err != nil || welcome.Kind != message.Welcome {
		return p, fmt.Errorf("prefork: the supervising process is gone")
	}
	p.task = &Task{
		service:  p.service,
		settings: b.Settings,
		role:     b.Role,
		instance: b.Instance,
		log:      p.log,
		strategy: string(welcome.Body),
		shared:   b.Shared,
		onReady:  p.ready,
	}
	return p, nil
}

// answerAt begins to answer at the process's own name.
func (p *process) answerAt(w *tfork.Worker, h names.Handler) {
	f := w.Files[fileName]
	if f == nil {
		return // the supervising process has said why
	}
	defer f.Close()
	stop, err := names.Serve(f, h)
	if err != nil {
		p.log.Error("cannot answer in the runtime directory", "error", err)
		return
	}
	p.stopNames = stop
}

// place is the one that the process is to hold.
func (p *process) place() names.Place {
	if p.boot.ID == (names.ID{}) {
		return names.Place{} // it has no name
	}
	return names.Place{Name: p.boot.canonical(), ID: p.boot.ID}
}

// ready tells the supervising process.
func (p *process) ready() {
	p.setState(StateReady)
	p.channel.send(message.Message{Kind: message.Ready})
}

// setState changes what the process table says.
func (p *process) setState(s string) { p.state.Store(&s) }

// row is this process's line in the process table.
func (p *process) row() Process {
	r := Process{
		Service:  p.boot.Service,
		Role:     p.boot.Role,
		Instance: p.boot.Instance,
		Pid:      os.Getpid(),
		State:    *p.state.Load(),
		Started:  p.started,
		Memory:   residentMemory(),
		After:    p.boot.After,
	}
	if p.task != nil {
		r.Strategy, r.Requests = p.task.strategy, p.task.requests.Load()
	}
	return r
}

// pruneOwn removes the process's own name, for want of a supervising process.
// A worker that runs as another user may not; the next start sweeps then.
func (p *process) pruneOwn() {
	d, err := names.Attach(p.boot.RuntimeDir)
	if err != nil {
		return
	}
	defer d.Close()
	d.Prune(p.boot.ID)
}

// close is the process's very end: it stops answering. If the one that would
// clean up after it is gone, it removes its own name, while its socket is still
// open, and kills what it has started, in its process group.
func (p *process) close() {
	if p.orphaned.Load() {
		p.pruneOwn()
	}
	p.stopNames()
	if p.orphaned.Load() {
		killOwnGroup()
	}
}

// comm is the name that ps and top show, 15 bytes: a long service name is cut
// so that the part which differs stays.
func comm(role, service string, instance int) string {
	suffix := "[" + role + "]"
	if instance >= 0 {
		suffix = "(" + strconv.Itoa(instance) + ")"
	}
	return service[:min(len(service), 15-len(suffix))] + suffix
}

// title is the process's argv[0].
func title(role, service string, instance int) string {
	if role == names.Master {
		return "task[" + service + "] pre-fork master"
	}
	return fmt.Sprintf("task[%s] pre-forked worker(%d)", service, instance)
}
