// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package fuzz

import (
	"os"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"github.com/seed-cb702d51/tfork-go/internal/testutil"
	"github.com/seed-cb702d51/tfork-go/tfork"
)

// crew are the workers of one sequence. Several share what their caller has one
// of: the waiter, whose death meets them all, and the next start.
type crew struct {
	t   *rapid.T
	way way
	all []*model
}

// mostWorkers limits a crew: the first one leaves for the next.
const mostWorkers = 3

// actions are those of one of the workers, whichever, and those of all.
func (c *crew) actions() map[string]func(*rapid.T) {
	actions := map[string]func(*rapid.T){
		"start":       func(*rapid.T) { c.start() },
		"kill waiter": func(t *rapid.T) { c.killWaiter(rapid.IntRange(0, 59).Draw(t, "really") == 59) },
		"": func(*rapid.T) {
			for _, m := range c.all {
				m.invariant()
			}
		},
	}
	for name, do := range modelActions {
		actions[name] = func(t *rapid.T) { do(c.all[rapid.IntRange(0, len(c.all)-1).Draw(t, "worker")], t) }
	}
	return actions
}

func (c *crew) start() {
	m, err := newModel(c)
	if err != nil {
		c.t.Fatalf("Start: %v", err)
	}
	c.all = append(c.all, m)
	c.retire()
}

// retire makes room for the next one.
func (c *crew) retire() {
	for len(c.all) > mostWorkers {
		first := c.all[0]
		c.all = c.all[1:]
		first.finish()
	}
}

// killWaiter kills the shared waiter, or those of these workers. It is done seldom:
// some containers' PID 1 takes seconds to reap the worker, and its status is not
// known before.
func (c *crew) killWaiter(really bool) {
	if really {
		c.fear()
		killWaiters()
	}
}

// fear expects the waiter's death: where no status is kept, that of a worker may
// be lost with it.
func (c *crew) fear() {
	r, _ := tfork.Probe()
	for _, m := range c.all {
		m.lossy = m.lossy || m.p.Strategy() == tfork.Waiter && !exitInfoKept(r)
	}
}

// killWaiters returns when they are gone: a start that meets one while it dies
// would be refused.
func killWaiters() {
	for _, pid := range waitersOf(os.Getpid()) {
		kill(pid, unix.SIGKILL)
		testutil.PollFor(patience, func() bool { return !testutil.Exists(pid) })
	}
}

// finish ends all of them, also if one fails.
func (c *crew) finish() {
	for _, m := range c.all {
		defer m.finish()
	}
}
