// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package prefork

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/seed-cb702d51/tfork-go/prefork/internal/message"
	"github.com/seed-cb702d51/tfork-go/prefork/internal/names"
	"github.com/seed-cb702d51/tfork-go/prefork/internal/restart"
	"github.com/seed-cb702d51/tfork-go/prefork/internal/supervise"
	"github.com/seed-cb702d51/tfork-go/tfork"
)

// nursery starts processes: masters for the supervisor, workers for a master.
type nursery struct {
	dir      *names.Dir
	log      *slog.Logger
	out      *logOutput
	strategy tfork.Strategy
	group    *supervise.Group
	// right is what gives the right to name the processes.
	right names.Place
	// other gets the messages that are not for the group, from the process's
	// own goroutine; gone is called in the group's.
	other func(*child, message.Message)
	gone  func(*child)
	// cleanups are of cgroups whose last processes are still dying.
	cleanups sync.WaitGroup
}

// cgroupTimeout bounds the wait for killed processes to be gone.
const cgroupTimeout = 5 * time.Second

// order is what to start.
type order struct {
	boot     boot
	inc      supervise.Inc
	function string
	// path is the program, or "" for this very one.
	path string
	// unique is part of the name of a process that does not hold its place: not
	// yet, which is waits, or no longer.
	unique  uint64
	waits   bool
	cgroup  *os.File
	release func()
}

// child is a process that was started, seen by the one that supervises it. It
// implements supervise.Process.
type child struct {
	nursery *nursery
	order   order
	cmd     *tfork.Cmd
	channel *channel
	id      names.ID
	pin     *os.File // keeps id true
	log     *slog.Logger

	// received is closed when the process has sent its last message.
	received chan struct{}

	mu sync.Mutex
	// deputies are a master's workers, held by the supervisor for the case
	// that the master can no longer end them.
	deputies []*deputy
}

// start starts a process. What happens to it is posted to the group.
func (n *nursery) start(o order) (_ *child, err error) {
	c := &child{nursery: n, order: o, received: make(chan struct{})}
	defer func() {
		if err != nil {
			c.Gone()
		}
	}()
	ours, theirs, err := newChannel()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	c.channel = ours
	name := n.name(c)
	if name != nil {
		defer name.Close()
	}
	if err := n.run(c, theirs, name); err != nil {
		return nil, err
	}
	c.log = n.log.With("child", c.order.boot.canonical(), "child-pid", c.cmd.Process.Pid)
	c.log.Info("started", "strategy", c.cmd.Process.Strategy().String())
	c.channel.send(message.Text(message.Welcome, c.cmd.Process.Strategy().String()))
	go c.receive()
	go c.await()
	return c, nil
}

// name makes the process's socket. Serving comes first: a full disk costs the
// name, not the worker.
func (n *nursery) name(c *child) *os.File {
	b := &c.order.boot
	spare := names.Name(b.Role, b.Service, b.Instance, c.order.unique)
	name := b.canonical()
	if c.order.waits {
		name = spare
	}
	s, err := n.dir.Claim(name, spare, n.right)
	if err != nil {
		n.log.Error("a process starts without a name", "error", err)
		return nil
	}
	c.id, c.pin, b.ID = s.ID, s.Pin, s.ID
	return s.File
}

// run starts the program.
func (n *nursery) run(c *child, channel, name *os.File) (err error) {
	o := &c.order
	cmd := tfork.Func(o.function)
	n.out.lend(func(log *os.File) {
		cmd.Payload, cmd.ExtraFiles, err = o.boot.pack(channel, name, log)
		if err != nil {
			return
		}
		if o.path != "" {
			cmd.Path = o.path
		}
		cmd.Title = title(o.boot.Role, o.boot.Service, o.boot.Instance)
		cmd.Strategy, cmd.Cgroup = n.strategy, o.cgroup
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		cmd.SysProcAttr = attributes()
		c.cmd = cmd
		err = cmd.Start()
	})
	if err != nil {
		c.cmd = nil
		return fmt.Errorf("%s: %w", o.boot.canonical(), err)
	}
	return nil
}

// receive takes the process's messages until it is gone.
func (c *child) receive() {
	defer close(c.received)
	inc, group := c.order.inc, c.nursery.group
	c.channel.receive(func(m message.Message) {
		switch m.Kind {
		case message.Ready:
			group.Post(supervise.Ready{Inc: inc})
		case message.Beat:
			group.Post(supervise.Beat{Inc: inc})
		case message.Recycle:
			group.Post(supervise.Recycle{Inc: inc, Reason: string(m.Body)})
		default:
			if c.nursery.other != nil {
				c.nursery.other(c, m)
			}
		}
	})
}

// await posts the process's end, after all that it said: a master's reason for
// leaving, and whom it leaves behind. One whose status is lost may go on talking,
// and is killed first.
func (c *child) await() {
	c.cmd.Wait() // its error says less than the status
	st, err := c.cmd.Process.Status(true)
	if err == nil {
		c.channel.finish()
		<-c.received
	}
	c.nursery.group.Post(supervise.Exited{Inc: c.order.inc, Outcome: outcome(st, err)})
}

// outcome is a status in the words of the restart decision.
func outcome(st tfork.Status, err error) restart.Outcome {
	switch {
	case err != nil:
		return restart.Outcome{Lost: true}
	case st.Signaled():
		return restart.Outcome{Signal: int(st.Signal()), OOM: st.OOMKilled()}
	}
	return restart.Outcome{Code: st.ExitStatus()}
}

// TellStop asks the process to leave.
func (c *child) TellStop(reason string) {
	c.log.Info("told to stop", "reason", reason)
	c.channel.send(message.Text(message.Stop, reason))
}

// reopenAll hands the log file, if it is the new one, to all processes of a group;
// otherwise they try for themselves. It belongs in the group's goroutine.
func reopenAll(g *supervise.Group, out *logOutput, opened bool) {
	out.lend(func(log *os.File) {
		if !opened {
			log = nil
		}
		g.Processes(func(p supervise.Process) {
			p.(*child).channel.sendFile(message.Message{Kind: message.Reopen}, log)
		})
	})
}

// Abort asks a hung process for its stack.
func (c *child) Abort(reason string) {
	c.log.Error("sending SIGABRT", "reason", reason)
	c.signal(sigabrt)
}

// Kill ends the process and all it started, as far as that can be found: its
// cgroup, or else its process group; a master's workers too.
func (c *child) Kill(reason string) {
	c.log.Error("killing", "reason", reason)
	c.signal(os.Kill)
	c.killRest()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, d := range c.deputies {
		d.kill()
	}
}

// signal sends a signal by the process's handle, never by its number. That it
// has ended already is no error: its end is on the way.
func (c *child) signal(sig os.Signal) {
	if err := c.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		c.log.Error("signal", "error", err)
	}
}

// killRest kills what the process started.
func (c *child) killRest() {
	if c.order.cgroup == nil || !killCgroup(c.order.cgroup) {
		killGroup(c.cmd.Process.Pid)
	}
}

// Gone frees everything. It is also what undoes half a start.
func (c *child) Gone() {
	if c.cmd != nil {
		go c.hangUp()
	} else if c.channel != nil {
		c.channel.close()
	}
	if c.id != (names.ID{}) {
		if err := c.nursery.dir.Prune(c.id); err != nil {
			c.nursery.log.Error("cannot prune a name", "error", err)
		}
		c.pin.Close()
	}
	if c.cmd != nil {
		c.killRest()
	}
	c.releaseCgroup()
	if c.nursery.gone != nil && c.cmd != nil {
		c.nursery.gone(c)
	}
}

// hangUp closes the channel when nothing more can come through it.
func (c *child) hangUp() {
	c.heardOut()
	c.channel.close()
}

// heardOut waits until everything was read that the process wrote before it ended,
// or was killed because its status is lost.
func (c *child) heardOut() {
	late := time.NewTimer(margin)
	defer late.Stop()
	select {
	case <-c.received:
	case <-late.C: // somebody else holds its end
	}
}

// releaseCgroup gives the cgroup back as soon as it is empty.
func (c *child) releaseCgroup() {
	dir, release := c.order.cgroup, c.order.release
	if dir == nil {
		return
	}
	c.nursery.cleanups.Go(func() {
		for deadline := time.Now().Add(cgroupTimeout); cgroupPopulated(dir) && time.Now().Before(deadline); {
			killCgroup(dir) // somebody may have come in meanwhile
			time.Sleep(time.Millisecond)
		}
		dir.Close()
		if release != nil {
			release()
		}
	})
}

// promote gives the process the name of its place.
func (c *child) promote() {
	if c.id == (names.ID{}) {
		return
	}
	if err := c.nursery.dir.Promote(c.id, c.order.boot.canonical(), c.nursery.right); err != nil {
		c.log.Error("cannot take over the name", "error", err)
	}
}

// logEnded tells how the process ended and what follows.
func (c *child) logEnded(e supervise.Ended) {
	args := []any{"outcome", e.Outcome.String(), "restart", e.Decision.Restart}
	if e.Decision.Restart {
		args = append(args, "seconds", e.Wait.Seconds())
	}
	level := slog.LevelError
	if e.Decision.Calm {
		level = slog.LevelWarn
	}
	c.log.Log(context.Background(), level, "ended", args...)
}
