// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package prefork

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/seed-cb702d51/tfork-go/prefork/config"
	"github.com/seed-cb702d51/tfork-go/prefork/internal/message"
	"github.com/seed-cb702d51/tfork-go/prefork/internal/names"
	"github.com/seed-cb702d51/tfork-go/prefork/internal/restart"
	"github.com/seed-cb702d51/tfork-go/prefork/internal/supervise"
	"github.com/seed-cb702d51/tfork-go/tfork"
)

// master is the process that supervises the workers of one service, and never
// serves. Its fields below group belong to the group's goroutine.
type master struct {
	*process
	nursery *nursery
	limit   *restart.Window
	leaving atomic.Bool
	count   atomic.Int64 // workers wanted
	group   *supervise.Group

	ends     map[int]string // by slot: how the last worker ended
	promoted bool           // the master holds its place
	wasReady bool
	done     bool // all workers have ended for good
	code     int
}

// masterMain is a master's whole life.
func masterMain(w *tfork.Worker) int {
	p, err := enter(w, catchSignals(names.Master))
	if err != nil {
		return p.refuse(err)
	}
	if p.service.InhibitPrefork {
		p.task.instance = 0
		if err := applyLimits(p.boot.Settings, 0); err != nil {
			return p.refuse(err)
		}
		return newWorker(p).run(w, true)
	}
	dir, err := names.Attach(p.boot.RuntimeDir)
	if err != nil {
		return p.refuse(err)
	}
	defer dir.Close()
	return newMaster(p, dir).run(w)
}

// newMaster connects the parts: the group decides, the nursery starts, the
// master is told.
func newMaster(p *process, dir *names.Dir) *master {
	st := p.boot.Settings
	m := &master{
		process:  p,
		limit:    &restart.Window{Limit: st.RestartLimit, Span: st.RestartWindow},
		promoted: !p.boot.Replaces,
	}
	m.ends = map[int]string{}
	m.count.Store(int64(st.Children))
	m.group = supervise.NewGroup(supervise.New(m.policy, rand.Float64), m)
	m.nursery = &nursery{
		dir: dir, log: p.log, out: p.out, strategy: p.boot.Strategy, group: m.group, right: p.place(),
		gone: func(c *child) {
			m.channel.send(message.Text(message.Buried, strconv.Itoa(c.cmd.Process.Pid)))
			m.tellAll(message.Message{Kind: message.Poke})
		},
	}
	return m
}

// policy is how workers are treated: all alike, with one limit for the service.
func (m *master) policy(int) supervise.Policy {
	st := m.boot.Settings
	return supervise.Policy{
		Backoff: restart.Backoff{
			Increment: st.BackoffIncrement, Maximum: st.MaximumBackoff,
			Jitter: st.BackoffJitter, ResetAfter: st.BackoffReset,
		},
		Limit:          m.limit,
		FatalCodes:     st.FatalExitCodes,
		StopTimeout:    st.StopTimeout,
		ReadyTimeout:   st.ReadyTimeout,
		ReplaceTimeout: st.ReadyTimeout,
		BeatTimeout:    st.HeartbeatTimeout,
		AbortGrace:     st.AbortGrace,
	}
}

// run is the hooks of the master, and then its workers until the last one has
// left.
func (m *master) run(w *tfork.Worker) int {
	m.answerAt(w, m.answer)
	defer m.close()
	go m.listen()
	go m.signals()
	for _, hook := range []func(*Task) error{m.service.Init, m.service.BeforeLoop} {
		if hook == nil {
			continue
		}
		if err := hook(m.task); err != nil {
			m.log.Error("cannot serve", "error", err)
			return exitCode(err)
		}
	}
	if m.leaving.Load() {
		return ExitDone
	}
	if m.boot.Settings.Children == 0 {
		m.log.Warn("children = 0: the sockets are open, and nobody serves")
	}
	go m.reopens.work(nil, m.reopen)
	go m.beat()
	m.group.Run(int(m.count.Load()))
	m.nursery.cleanups.Wait()
	return m.code
}

// beat gives the supervisor signs of life: of the group, not only of the
// process.
func (m *master) beat() {
	beat := func() { m.channel.send(message.Message{Kind: message.Beat}) }
	m.group.Do(beat) // the first one says that the hooks have returned
	interval := m.boot.Settings.HeartbeatTimeout / 3
	if interval <= 0 {
		return
	}
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for ; ; m.group.Do(beat) {
		select {
		case <-m.group.Done():
			return
		case <-tick.C:
		}
	}
}

// listen obeys the supervisor until it is gone.
func (m *master) listen() {
	m.channel.receive(func(msg message.Message) {
		switch msg.Kind {
		case message.Stop:
			m.leave(string(msg.Body))
		case message.Reopen:
			m.reopens.ask(m.channel.take())
		case message.Poke:
			m.group.Do(func() { m.tellAll(msg) })
		case message.Promote:
			m.group.Do(m.takeNames)
		case message.Scale:
			if delta, err := strconv.Atoi(string(msg.Body)); err == nil {
				m.group.Do(func() { m.scale(delta) })
			}
		}
	})
	m.orphaned.Store(true)
	// Should this master die too, nobody else knows what its workers leave.
	m.group.Do(func() { m.tellAll(message.Message{Kind: message.Alone}) })
	// The workers get their time; then they are killed, and then nobody would
	// be left to end a master that hangs in a hook.
	time.AfterFunc(m.boot.Settings.StopTimeout+m.boot.Settings.AbortGrace+time.Second, func() {
		m.close()
		os.Exit(ExitDone)
	})
	m.leave("the supervisor is gone")
}

// leave makes the master stop its workers, and end when the last one has left.
// It may be called before there is a group at work: the event waits for it.
func (m *master) leave(reason string) {
	m.group.Post(m.leaves(reason))
}

// leaves notes that the master leaves; the event is what makes it.
func (m *master) leaves(reason string) supervise.Event {
	m.log.Info("leaving", "reason", reason)
	m.leaving.Store(true)
	m.setState(StateDraining)
	return supervise.Stop{Reason: reason}
}

// tellAll sends a message to all workers. It belongs in the group's goroutine.
func (m *master) tellAll(msg message.Message) {
	m.group.Processes(func(p supervise.Process) { p.(*child).channel.send(msg) })
}

// least is how few workers there may be: as many as have sockets of their own, if
// they are there.
func (m *master) least() int64 {
	return min(int64(ownSockets(m.boot.Sockets)), m.count.Load())
}

// scale changes the number of workers. It belongs in the group's goroutine.
func (m *master) scale(delta int) {
	wanted, least := m.count.Load()+int64(delta), m.least()
	if wanted < least {
		m.log.Warn(needsWorkers, "wanted", wanted, "sockets", least)
	}
	count := min(max(wanted, least), config.MaxChildren)
	m.count.Store(count)
	m.done = false
	m.log.Info("workers wanted", "count", count)
	m.channel.send(message.Text(message.Count, strconv.FormatInt(count, 10)))
	m.group.Follow(supervise.Scale{Count: int(count)})
}

// needsWorkers is why some services cannot have fewer workers.
const needsWorkers = "reuse-port: each socket needs its worker, there cannot be fewer"

// takeNames gives the workers of a master that has just taken its place their
// proper names. It belongs in the group's goroutine.
func (m *master) takeNames() {
	m.promoted = true
	for slot := range m.group.Count() {
		if c, ok := m.group.Holder(slot).(*child); ok {
			c.promote()
		}
	}
	m.quitIfDone()
}

// Start starts a worker. It implements supervise.Owner.
func (m *master) Start(a supervise.Spawn) (supervise.Process, error) {
	o := order{inc: a.Inc, function: workerFunc, boot: *m.boot}
	o.boot.Role, o.boot.Instance, o.boot.ID, o.boot.Replaces = names.Worker, a.Slot, names.ID{}, a.Replaces
	o.boot.Settings.Children = int(m.count.Load())
	o.boot.After = ""
	if !a.Replaces {
		o.boot.After = m.ends[a.Slot]
	}
	o.boot.Sockets = forInstance(m.boot.Sockets, a.Slot)
	o.boot.Shared = m.task.Shared()
	o.unique, o.waits = uint64(os.Getpid())<<20|uint64(a.Inc)&(1<<20-1), a.Replaces || !m.promoted
	if m.service.Cgroup != nil {
		var err error
		if o.cgroup, o.release, err = m.service.Cgroup(m.task, a.Slot); err != nil {
			return nil, err
		}
	}
	c, err := m.nursery.start(o)
	if err != nil {
		return nil, err
	}
	m.channel.send(message.Text(message.Born, strconv.Itoa(c.cmd.Process.Pid)))
	if m.orphaned.Load() {
		c.channel.send(message.Message{Kind: message.Alone})
	}
	if o.cgroup != nil {
		if path, err := filepath.Abs(o.cgroup.Name()); err == nil {
			m.channel.send(message.Text(message.Caged, path))
		}
	}
	return c, nil
}

// Promote implements supervise.Owner.
func (m *master) Promote(_ int, p supervise.Process) {
	if m.promoted {
		p.(*child).promote()
	}
}

// Notice implements supervise.Owner.
func (m *master) Notice(a supervise.Action, p supervise.Process) {
	switch a := a.(type) {
	case supervise.Ended:
		m.noticeEnd(a, p)
	case supervise.Failed:
		m.log.Error("the service has failed", "reason", a.Reason)
		m.channel.send(message.Text(message.Failed, a.Reason))
		m.quit(exitFailed, "the service has failed")
	case supervise.AllReady:
		m.wasReady = true
		m.task.Ready()
	case supervise.AllDown:
		m.done = true
		m.quitIfDone()
	case supervise.Stopping:
		closeSockets(m.boot.Sockets) // or the port stays open while the workers drain
	case supervise.RolledOut:
		m.log.Info("a worker was replaced")
	case supervise.RolledBack:
		m.log.Error("a worker could not be replaced", "reason", a.Reason)
	}
}

// noticeEnd logs an end. A master that is to replace another one does not try
// again: it is not needed if it does not come up.
func (m *master) noticeEnd(e supervise.Ended, p supervise.Process) {
	m.ends[e.Slot] = e.Outcome.String()
	if c, ok := p.(*child); ok {
		c.logEnded(e)
	} else {
		m.log.Error("cannot start a worker", "instance", e.Slot, "error", e.Outcome.Start, "seconds", e.Wait.Seconds())
	}
	if !e.Decision.Restart && e.Slot < ownSockets(m.boot.Sockets) {
		m.log.Error("what the kernel gives to this worker's socket waits for nobody", "instance", e.Slot)
	}
	if m.boot.Replaces && !m.wasReady {
		m.quit(ExitRestart, "a worker of the new program ended before all were ready")
	}
}

// quitIfDone ends a master that nobody is left to serve for, as one that serves by
// itself ends then. One that is to replace another is needed until it has: its
// end would undo the reload. It belongs in the group's goroutine.
func (m *master) quitIfDone() {
	if m.done && m.promoted && !m.leaving.Load() { // a failure has its own exit code
		m.quit(ExitDone, "no worker is left")
	}
}

// quit ends the master with its workers. It belongs in the group's goroutine.
func (m *master) quit(code int, reason string) {
	m.code = code
	m.group.Follow(m.leaves(reason))
}

// answer is what the master's own socket says.
func (m *master) answer(q message.Message) message.Message {
	done := message.Message{Kind: message.Done}
	switch q.Kind {
	case message.Ping:
		return done
	case message.Status:
		r := m.row()
		r.Children = int(m.count.Load())
		return message.JSON(message.Row, r)
	case message.Reopen:
		m.reopens.ask(nil)
		return done
	case message.Scale:
		delta, err := strconv.Atoi(string(q.Body))
		if err != nil {
			return message.Text(message.Refuse, "scale: want a decimal number, like +1")
		}
		if least := m.least(); least > 0 && m.count.Load()+int64(delta) < least {
			return message.Text(message.Refuse, needsWorkers)
		}
		m.group.Do(func() { m.scale(delta) })
		return done
	}
	return message.Text(message.Refuse, "a master cannot do that: ask the supervisor")
}
