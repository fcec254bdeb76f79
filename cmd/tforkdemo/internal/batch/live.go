// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package batch

import (
	"os"
	"sync"

	"github.com/seed-cb702d51/tfork-go/tfork"
)

// live is the set of the processes that run.
type live struct {
	mu     sync.Mutex
	procs  map[*tfork.Process]struct{}
	sticky os.Signal // what every newcomer gets at once, or nil
}

// add takes in a process. A stop may have come while it was being started.
func (l *live) add(p *tfork.Process) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.procs == nil {
		l.procs = map[*tfork.Process]struct{}{}
	}
	l.procs[p] = struct{}{}
	if l.sticky != nil {
		p.Signal(l.sticky) // it may have ended: nothing to do then
	}
}

func (l *live) remove(p *tfork.Process) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.procs, p)
}

// send signals all that run.
func (l *live) send(sig os.Signal) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for p := range l.procs {
		p.Signal(sig)
	}
}

// stop signals all that run and all that are still being started.
func (l *live) stop(sig os.Signal) {
	l.mu.Lock()
	l.sticky = sig
	l.mu.Unlock()
	l.send(sig)
}
