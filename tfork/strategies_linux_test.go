// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package tfork

import (
	"errors"
	"testing"
	"time"
)

// patience is how long anything may take that should be over at once.
const patience = 30 * time.Second

// mode is a strategy as a test asks for it.
type mode struct {
	name      string
	strategy  Strategy
	dedicated bool
}

var modes = []mode{
	{name: "direct", strategy: Direct},
	{name: "waiter", strategy: Waiter},
	{name: "waiter dedicated", strategy: Waiter, dedicated: true},
}

// forEachStrategy runs f as a subtest with every strategy that can be had.
func forEachStrategy(t *testing.T, f func(t *testing.T, m mode)) {
	for _, m := range modes {
		t.Run(m.name, func(t *testing.T) {
			if m.strategy == Waiter {
				if err := waiterPossible(); errors.Is(err, ErrNotSupported) {
					t.Skip(err)
				}
			}
			f(t, m)
		})
	}
}

// command is Command with the mode's strategy.
func (m mode) command(name string, arg ...string) *Cmd { return m.set(Command(name, arg...)) }

func (m mode) function(name string, arg ...string) *Cmd { return m.set(Func(name, arg...)) }

func (m mode) set(c *Cmd) *Cmd {
	c.Strategy, c.Dedicated = m.strategy, m.dedicated
	return c
}

// needGuard skips the test where the strategy cannot keep a status safe from
// thieves, which is honest on kernels without exit info only.
func (m mode) needGuard(t *testing.T) {
	t.Helper()
	if m.strategy == Direct {
		if err := exitInfoKept(); errors.Is(err, ErrNotSupported) {
			t.Skip("unguarded here: ", err)
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

// mustStart starts c and sees to it that nothing of it is left.
func mustStart(t testing.TB, c *Cmd) *Process {
	t.Helper()
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Process.Destroy()
		closeAll(c.pipes)
	})
	return c.Process
}
