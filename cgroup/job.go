// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package cgroup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/seed-cb702d51/tfork-go/internal/sys"
	"github.com/seed-cb702d51/tfork-go/tfork"
)

// removeTime is how long the kernel may take to let go of killed processes. A
// process in uninterruptible sleep can take longer: then Wait says so, and the
// group stays.
const removeTime = 30 * time.Second

// Options say where [Start] makes a command's group, and what it may use.
type Options struct {
	// Parent is the group to make it in; nil is [Delegated]. It stays the
	// caller's, who may close it after Start.
	Parent *Group
	// Name of the group, as in [Create]; empty is "tfork-*".
	Name string
	// Limits of the group.
	Limits Limits
}

// Job is a command in a cgroup of its own. It is made by [Start].
type Job struct {
	cmd   *tfork.Cmd
	group *Group

	once sync.Once
	err  error

	mu      sync.Mutex
	last    Sample
	lastErr error // why there is none of the end
}

// Run is [Start] and [Job.Wait].
func Run(cmd *tfork.Cmd, o Options) error {
	j, err := Start(cmd, o)
	if err != nil {
		return err
	}
	return j.Wait()
}

// Start makes a fresh group with limits and starts the command in it, so that
// it is inside from its first instruction. It sets cmd.Cgroup. Call [Job.Wait]
// in place of cmd.Wait: it also removes the group.
//
// On an error nothing is left behind. Errors are those of [Delegated], [Create]
// and tfork's Cmd.Start. Where parent (by default the delegated cgroup) holds
// this very process, limits need [Group.EnterLeaf] once before: the error is
// [ErrHasProcesses]. It blocks as Cmd.Start does.
func Start(cmd *tfork.Cmd, o Options) (*Job, error) {
	if cmd.Cgroup != nil {
		return nil, errors.New("cgroup: Cmd.Cgroup is set already: leave it nil, Start makes a group for it")
	}
	group, err := o.create()
	if err != nil {
		return nil, err
	}
	j := &Job{cmd: cmd, group: group}
	cmd.Cgroup = group.Dir()
	if err := cmd.Start(); err != nil {
		cmd.Cgroup = nil
		if left := j.undo(); left != nil {
			err = errors.Join(err, left)
		}
		return nil, err
	}
	return j, nil
}

// undo removes the group of a command that did not start. As a rule it is empty,
// and then that needs no descriptor, of which there may be none.
func (j *Job) undo() error {
	once, cancel := context.WithCancel(context.Background())
	cancel()
	if j.group.Delete(once) == nil {
		return j.group.Close()
	}
	return j.remove()
}

// create makes the group. It needs its parent for no longer than that.
func (o Options) create() (*Group, error) {
	if o.Name == "" {
		o.Name = "tfork-*"
	}
	if o.Parent != nil {
		return Create(o.Parent, o.Name, o.Limits)
	}
	parent, err := Delegated()
	if err != nil {
		return nil, err
	}
	defer parent.Close()
	return Create(parent, o.Name, o.Limits)
}

// Group lends the job's group, for [Group.Stat], [Group.Set], [Group.Freeze].
// It is closed by Wait.
func (j *Job) Group() *Group { return j.group }

// Kill kills the worker and everything that it has started, as [Group.Kill]
// does. After Wait there is nothing left to kill: nil.
func (j *Job) Kill() error {
	if err := j.group.Kill(); !errors.Is(err, os.ErrClosed) {
		return err
	}
	return nil
}

// Wait waits until the worker has ended, then kills whatever it has left
// running in the group, waits for its output as cmd.Wait does (no descendant
// holds a pipe open any more), and removes the group with all below it. How
// the worker ended, and whether the OOM killer did it, is in cmd.Process as
// ever; [Job.Sample] has the whole group's numbers.
//
// The error is that of cmd.Wait; one of the removal is joined to it. The group
// has at most 30 seconds to become empty. A second call returns the same.
func (j *Job) Wait() error {
	j.once.Do(func() {
		<-j.cmd.Process.Done()
		j.killAll() // or what holds the output open keeps Wait; remove has the error
		waitErr := j.cmd.Wait()
		if err := j.remove(); err != nil {
			waitErr = errors.Join(waitErr, fmt.Errorf("cgroup: remove the group of %s: %w", j.cmd.Path, err))
		}
		j.err = waitErr
	})
	return j.err
}

// Sample returns what the kernel has counted in the group: up to now, and
// after Wait up to its end, with every process that was in it. Its peak is the
// job's, its OOMKills are those of the whole job. The error after Wait is the one
// that kept Wait from asking.
func (j *Job) Sample() (Sample, error) {
	// Under the lock, or who has read first may be the last to store.
	j.mu.Lock()
	defer j.mu.Unlock()
	s, err := j.group.Sample()
	switch {
	case err == nil:
		j.last = s
	case j.lastErr != nil:
		return s, j.lastErr
	case j.last != (Sample{}):
		return j.last, nil
	}
	return s, err
}

// remove kills, takes the last sample when all is over, and removes. The
// counters go away with the directory. What could not be killed, or not be seen
// to be over, is no error if it was not there.
func (j *Job) remove() error {
	defer j.group.Close()
	killErr := j.killAll()
	ctx, cancel := context.WithTimeout(context.Background(), removeTime)
	defer cancel()
	err := j.group.waitEmpty(ctx)
	if err == nil {
		_, err = j.Sample()
	}
	if !errors.Is(err, ErrRemoved) { // somebody was faster: their decision
		j.mu.Lock()
		j.lastErr = err
		j.mu.Unlock()
	}
	if err := j.group.Delete(ctx); err != nil {
		return errors.Join(killErr, err)
	}
	return nil
}

// killAll is Group.Kill, which needs a descriptor, and waits for one if there is
// none: that passes, and what is not killed could hold up Wait for ever.
func (j *Job) killAll() error {
	for end := time.Now().Add(removeTime); ; time.Sleep(10 * time.Millisecond) {
		err := j.group.Kill()
		if !sys.Short(err) || time.Now().After(end) {
			return err
		}
	}
}
