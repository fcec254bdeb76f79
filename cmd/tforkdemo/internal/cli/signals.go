// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"os"
	"os/signal"
	"slices"

	"github.com/seed-cb702d51/tfork-go/tfork"
)

// caught is a set of signals that come to us now. Others keep what they do:
// SIGTSTP stops us with the command, as the terminal wants it.
type caught struct {
	c    chan os.Signal
	quit chan struct{}
}

// catch begins to catch signals. Those that are ignored stay so, here and in
// the children: nohup and a shell's background jobs mean it.
func catch(signals []os.Signal) *caught {
	// Room for more than anybody sends between two looks.
	s := &caught{c: make(chan os.Signal, 64), quit: make(chan struct{})}
	signals = slices.DeleteFunc(slices.Clone(signals), signal.Ignored)
	if len(signals) > 0 { // none would mean all
		signal.Notify(s.c, signals...)
	}
	return s
}

// stop ends the catching, and relay.
func (s *caught) stop() {
	signal.Stop(s.c)
	close(s.quit)
}

// relay passes on to p what comes, until stop, except what p has got already. A
// signal that somebody sends to us alone while we are in the foreground of a
// terminal looks the same as a typed one: those who mean the command had better
// send SIGTERM, or signal the group.
func (s *caught) relay(p *tfork.Process) {
	for {
		select {
		case sig := <-s.c:
			if slices.Contains(typed, sig) && inForeground() {
				continue // the terminal sends it to the whole group
			}
			p.Signal(sig) // a worker that has ended needs none
		case <-s.quit:
			return
		}
	}
}

// stopsBatch tells whether a signal ends a batch.
func stopsBatch(sig os.Signal) bool { return slices.Contains(stops, sig) }
