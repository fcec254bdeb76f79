// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package prefork

import (
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/seed-cb702d51/tfork-go/prefork/config"
	"github.com/seed-cb702d51/tfork-go/prefork/internal/message"
	"github.com/seed-cb702d51/tfork-go/prefork/internal/names"
	"github.com/seed-cb702d51/tfork-go/prefork/internal/restart"
	"github.com/seed-cb702d51/tfork-go/prefork/internal/supervise"
)

// preforkModel is the tree: supervisor, masters, workers.
type preforkModel struct{}

// Run is the supervisor's work: one slot for each service.
func (preforkModel) Run(s *Server) error {
	t := &tree{
		server: s, config: &s.config, scaled: map[string]int{}, failed: map[string]string{}, ends: map[int]string{},
	}
	t.group = supervise.NewGroup(supervise.New(t.policy, rand.Float64), t)
	t.nursery = &nursery{
		dir: s.dir, log: s.log, out: s.out, strategy: s.options.Strategy, group: t.group,
		other: t.heard, gone: t.masterGone,
	}
	go t.obey()
	t.group.Run(len(s.services))
	close(s.over)
	t.sweeps.Wait()
	t.image.close()
	if t.pending != nil {
		t.pending.image.close() // the stop came first
	}
	if len(t.failed) > 0 {
		return &FailedError{Reasons: t.failed}
	}
	return nil
}

// tree is the supervisor's view of its masters: one slot for each service. Its
// fields belong to the group's goroutine.
type tree struct {
	server  *Server
	nursery *nursery
	group   *supervise.Group
	sweeps  sync.WaitGroup

	config *config.Config
	image  *image         // the program of the masters; nil is this very one
	scaled map[string]int // by service: workers added by hand
	failed map[string]string
	ends   map[int]string // by slot: how the last master ended
	// reading says that a reload waits for its configuration; pending is what it
	// tries then.
	reading bool
	pending *pending
}

type pending struct {
	config *config.Config
	image  *image
}

// obey passes commands on until the group has finished.
func (t *tree) obey() {
	stopping, killed := t.server.stopping, t.server.killed
	for {
		select {
		case c := <-t.server.commands:
			t.group.Do(func() { t.do(c) })
		case <-stopping:
			stopping = nil
			t.group.Post(supervise.Stop{Reason: "the server stops"})
		case <-killed:
			killed = nil
			t.group.Do(func() {
				t.group.Processes(func(p supervise.Process) { p.Kill("no more patience") })
			})
		case <-t.group.Done():
			return
		}
	}
}

// do obeys one command, in the group's goroutine.
func (t *tree) do(c command) {
	switch c.kind {
	case message.Ping:
		close(c.obeyed)
	case message.Reload:
		t.reload()
	case message.Reopen:
		reopenAll(t.group, t.server.out, c.opened)
	case message.Scale:
		for slot, service := range t.server.services {
			if c.service == "" || c.service == service.Name {
				t.scale(slot, c.delta)
			}
		}
	}
}

// scale passes the wish for more or fewer workers on. Only a master knows how many
// there may be; without one the wish is lost, and the log is where that shows.
func (t *tree) scale(slot, delta int) {
	master, ok := t.group.Holder(slot).(*child)
	if !ok {
		t.server.log.Warn("cannot scale now: the service has no master", "service", t.server.services[slot].Name, "delta", delta)
		return
	}
	master.channel.send(message.Text(message.Scale, strconv.Itoa(delta)))
}

// settings are those with which a service's next master starts; fresh are those
// of a reload that runs.
func (t *tree) settings(slot int, fresh bool) config.Settings {
	service := t.server.services[slot]
	if fresh {
		return settingsOf(t.pending.config, service)
	}
	st := settingsOf(t.config, service)
	st.Children = max(0, st.Children+t.scaled[service.Name])
	return st
}

// margin is what a master needs beyond the time of its workers.
const margin = 2 * time.Second

// policy is how masters are treated. There is no time limit for the first
// readiness of one that has workers: that comes when the last of them is ready,
// and one worker that crashes must not end the others. But its own hooks have to
// return in time.
func (t *tree) policy(slot int) supervise.Policy {
	st := t.settings(slot, t.pending != nil)
	p := supervise.Policy{
		Backoff: restart.Backoff{
			Increment: st.BackoffIncrement, Maximum: st.MaximumBackoff,
			Jitter: st.BackoffJitter, ResetAfter: st.BackoffReset,
		},
		Limit:       &restart.Window{Limit: st.RestartLimit, Span: st.RestartWindow},
		FatalCodes:  append([]int{exitFailed}, st.FatalExitCodes...),
		StopTimeout: st.StopTimeout + st.AbortGrace + margin,
		BeatTimeout: st.HeartbeatTimeout,
		AbortGrace:  st.AbortGrace,
	}
	replace := st.ReadyTimeout
	if t.server.services[slot].InhibitPrefork {
		p.ReadyTimeout = st.ReadyTimeout
	} else {
		p.BeginTimeout = st.ReadyTimeout
		replace *= 2 // its hooks have as long as at the first start, and then its workers
	}
	if st.ReadyTimeout > 0 {
		p.ReplaceTimeout = replace + margin
	}
	return p
}

// Start starts a master. It implements supervise.Owner.
func (t *tree) Start(a supervise.Spawn) (supervise.Process, error) {
	service := t.server.services[a.Slot]
	o := order{inc: a.Inc, function: masterFunc, path: t.image.path()}
	if a.Fresh {
		o.path = t.pending.image.path()
	}
	o.boot = boot{
		Role: names.Master, Service: service.Name, Instance: -1,
		Settings: t.settings(a.Slot, a.Fresh), Strategy: t.server.options.Strategy,
		RuntimeDir: t.server.dir.Path(), LogFile: t.server.config.LogFile,
		Replaces: a.Replaces, Sockets: t.server.sockets[service.Name],
	}
	o.unique, o.waits = uint64(a.Inc), a.Replaces
	if !a.Replaces {
		o.boot.After = t.ends[a.Slot]
	}
	c, err := t.nursery.start(o)
	if err != nil {
		return nil, err
	}
	return c, nil
}

// Promote implements supervise.Owner.
func (t *tree) Promote(_ int, p supervise.Process) {
	c := p.(*child)
	c.promote()
	c.channel.send(message.Message{Kind: message.Promote})
}

// Notice implements supervise.Owner.
func (t *tree) Notice(a supervise.Action, p supervise.Process) {
	log := t.server.log
	switch a := a.(type) {
	case supervise.Ended:
		t.ends[a.Slot] = a.Outcome.String()
		if c, ok := p.(*child); ok {
			c.logEnded(a)
		} else {
			log.Error("cannot start a master", "service", t.server.services[a.Slot].Name, "error", a.Outcome.Start, "seconds", a.Wait.Seconds())
		}
	case supervise.Failed:
		name := t.server.services[a.Slot].Name
		if t.failed[name] == "" {
			t.failed[name] = a.Reason
		}
		log.Error("service failed", "service", name, "reason", t.failed[name])
	case supervise.AllReady:
		if t.reloading() {
			t.server.serves(a.Down) // the manager takes READY for the end of the reload
		} else {
			t.server.becameReady(a.Down)
		}
	case supervise.AllDown:
		log.Warn("no service is left")
		t.server.Stop()
	case supervise.Stopping:
		t.server.closeSockets()
	case supervise.RolledOut:
		if a.Reload {
			t.rolledOut()
		}
	case supervise.RolledBack:
		if a.Reload {
			t.rolledBack(a.Reason)
		} else {
			log.Error("a process could not be replaced", "reason", a.Reason)
		}
	}
}

// heard takes a master's messages, from the goroutine of its channel.
func (t *tree) heard(c *child, m message.Message) {
	service := c.order.boot.Service
	switch m.Kind {
	case message.Born:
		c.depute(m.Body)
	case message.Buried:
		c.bury(m.Body)
	case message.Caged:
		c.cage(m.Body)
	case message.Failed:
		t.group.Do(func() {
			if t.holds(c) { // or it is one that was to replace it, and never has
				t.failed[service] = string(m.Body)
			}
		})
	case message.Count:
		count, err := strconv.Atoi(string(m.Body))
		if err != nil {
			return
		}
		t.group.Do(func() {
			if !t.holds(c) {
				return // a reload has replaced it, and what was scaled before it
			}
			configured := settingsOf(t.config, c.service()).Children
			t.scaled[service] = count - configured
		})
	}
}

// holds tells whether a master is the one of its service.
func (t *tree) holds(c *child) bool {
	slot := slices.Index(t.server.services, c.service())
	return t.group.Holder(slot) == supervise.Process(c)
}

// service returns what the process serves.
func (c *child) service() *Service {
	s, _ := lookup(c.order.boot.Service)
	return s
}

// masterGone looks after what a master leaves: its workers leave by themselves,
// or are killed when they do not, and may not be able to remove their names; and
// the kernel may have woken one of them for a connection that it could not
// accept any more.
func (t *tree) masterGone(c *child) {
	t.group.Processes(func(p supervise.Process) { p.(*child).channel.send(message.Message{Kind: message.Poke}) })
	t.sweeps.Go(func() {
		t.server.dir.Sweep()
		lookAfter(c.bequeath(), c.order.boot.Settings.StopTimeout+margin, t.server.killed)
		t.server.dir.Sweep()
	})
}

// reload begins to replace all masters. The program's own code gives the
// configuration: it may take its time, and nobody waits for it here.
func (t *tree) reload() {
	s := t.server
	if t.reloading() {
		s.log.Warn("a reload is running already")
		return
	}
	s.log.Info("reload begins")
	s.told(s.manager.Reloading())
	if s.options.Reload == nil {
		t.try(t.config)
		return
	}
	t.reading = true
	go func() {
		c, err := s.options.Reload()
		t.group.Do(func() {
			t.reading = false
			if err == nil {
				err = c.Check()
			}
			if err == nil {
				err = s.checkServices(&c)
			}
			if err != nil {
				t.rolledBack("configuration: " + err.Error())
				return
			}
			t.try(&c)
		})
	}()
}

// reloading tells whether a reload has begun and not ended.
func (t *tree) reloading() bool { return t.reading || t.pending != nil }

// try replaces all masters by those of the program on disk, with this
// configuration.
func (t *tree) try(c *config.Config) {
	image, err := openImage()
	if err != nil {
		t.rolledBack(err.Error())
		return
	}
	t.pending = &pending{config: c, image: image}
	t.group.Follow(supervise.Reload{})
}

// rolledOut makes what was tried the present state.
func (t *tree) rolledOut() {
	t.image.close()
	t.config, t.image = t.pending.config, t.pending.image
	t.pending = nil
	clear(t.scaled)
	clear(t.failed) // they have another chance
	t.server.log.Info("reload done")
	t.server.becameReady(0)
}

// rolledBack forgets what was tried.
func (t *tree) rolledBack(reason string) {
	t.server.log.Error("reload failed: the old processes stay", "reason", reason)
	if t.pending != nil {
		t.pending.image.close()
		t.pending = nil
	}
	t.server.reloadFailed(reason)
}

// image is a program file that is held open, so that later restarts run the
// same program although the file on disk may be another one by then.
type image struct{ file *os.File }

// openImage opens the program that is on disk now.
func openImage() (*image, error) {
	path, err := os.Executable()
	if err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	return &image{f}, nil
}

// path is a path to the file for other processes too, the waiter for one: it
// names this process and not "self".
func (i *image) path() string {
	if i == nil {
		return ""
	}
	return imagePath(i.file)
}

// close is for an image that nobody will start any more.
func (i *image) close() {
	if i != nil {
		i.file.Close()
	}
}
