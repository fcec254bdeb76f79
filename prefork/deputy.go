// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package prefork

import (
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/seed-cb702d51/tfork-go/prefork/internal/orphan"
)

// deputy is a worker as the supervisor sees it, which did not start it. While
// its master lives that is who looks after it.
type deputy struct {
	process *os.Process // by pidfd: it stays this very process
	cgroup  *os.File    // or nil
}

// ended tells whether the worker is gone. A zombie is, whoever is to reap it: if
// that is this process, as PID 1, it leaves alone what has a handle.
func (d *deputy) ended() bool {
	return d.process.Signal(noSignal) != nil || orphan.Zombie(d.process.Pid)
}

// kill ends the worker and all it started.
func (d *deputy) kill() {
	if d.process.Signal(os.Kill) == nil {
		killGroup(d.process.Pid)
	}
	if d.cgroup != nil {
		killCgroup(d.cgroup)
	}
}

// killRest kills what a worker has left that has just gone. As long as there is
// anything left, nobody else gets the number of its process group.
func (d *deputy) killRest() {
	killGroup(d.process.Pid)
	if d.cgroup != nil {
		killCgroup(d.cgroup)
	}
}

// release gives up the handles.
func (d *deputy) release() {
	d.process.Release()
	if d.cgroup != nil {
		d.cgroup.Close()
	}
}

// depute notes a worker that the master has started.
func (c *child) depute(body []byte) {
	pid, err := strconv.Atoi(string(body))
	if err != nil || pid <= 1 {
		return
	}
	p, err := os.FindProcess(pid)
	if err != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deputies = append(c.deputies, &deputy{process: p})
}

// bury forgets a worker whose master has seen to its end: soon its number may
// be that of a stranger.
func (c *child) bury(body []byte) {
	pid, err := strconv.Atoi(string(body))
	if err != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deputies = slices.DeleteFunc(c.deputies, func(d *deputy) bool {
		if d.process.Pid != pid {
			return false
		}
		d.release()
		return true
	})
}

// cage notes the cgroup of the worker that was noted last.
func (c *child) cage(path []byte) {
	dir, err := os.Open(string(path))
	if err != nil {
		return // it may be gone already
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := len(c.deputies); n > 0 && c.deputies[n-1].cgroup == nil {
		c.deputies[n-1].cgroup = dir
		return
	}
	dir.Close()
}

// bequeath gives a dead master's workers away, those included of which it
// spoke last.
func (c *child) bequeath() []*deputy {
	c.heardOut()
	c.mu.Lock()
	defer c.mu.Unlock()
	orphans := c.deputies
	c.deputies = nil
	return orphans
}

// lookInterval is how often orphaned workers are looked at.
const lookInterval = 20 * time.Millisecond

// lookAfter sees to workers that lost their master: they leave by themselves in
// wait at most, and what they leave behind ends with them. hurry ends all
// patience.
func lookAfter(orphans []*deputy, wait time.Duration, hurry <-chan struct{}) {
	tick := time.NewTicker(lookInterval)
	defer tick.Stop()
	giveUp := time.Now().Add(wait + cgroupTimeout)
	late := time.After(wait)
	for len(orphans) > 0 && time.Now().Before(giveUp) {
		left := orphans[:0]
		for _, d := range orphans {
			if d.ended() {
				d.killRest()
				d.release()
			} else {
				left = append(left, d)
			}
		}
		orphans = left
		select {
		case <-tick.C:
			continue
		case <-late:
			late = nil
		case <-hurry:
			hurry = nil
		}
		for _, d := range orphans {
			d.kill()
		}
	}
	for _, d := range orphans {
		d.release()
	}
}
