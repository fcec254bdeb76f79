// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package prefork

import (
	"fmt"
	"sync"
	"time"

	"github.com/seed-cb702d51/tfork-go/prefork/internal/message"
	"github.com/seed-cb702d51/tfork-go/prefork/internal/systemd"
)

// What the supervisor tells the service manager, see package systemd. That the
// manager does not hear is a line in the log: the services go on.

// becameReady tells everybody who waits for it. down is how many services have
// ended for good.
func (s *Server) becameReady(down int) { s.told(s.manager.Ready(s.serves(down))) }

// serves is becameReady for all but the manager, who is told what it returns.
func (s *Server) serves(down int) (status string) {
	s.sayReady.Do(func() { close(s.ready) })
	status = fmt.Sprintf("%d services are ready", len(s.services))
	if down > 0 {
		status = fmt.Sprintf("%d of %s, the others have ended", len(s.services)-down, status)
	}
	s.log.Info(status)
	return status
}

// reloadFailed ends a reload for the manager, who must hear of it either way. A
// server that is not ready yet says so later, and that ends the reload, too.
func (s *Server) reloadFailed(reason string) {
	status := "the last reload failed: " + reason
	select {
	case <-s.ready:
		s.told(s.manager.Ready(status))
	default:
		s.told(s.manager.Status(status))
	}
}

// meetManager takes what the manager has left in the environment.
func (s *Server) meetManager() {
	s.manager = systemd.NewNotifier()
	watchdog, err := systemd.Watchdog()
	if err != nil {
		s.log.Warn("the service manager's watchdog hears nothing", "error", err)
	}
	s.watchdog = watchdog
}

// beats gives the manager's watchdog signs of life until stop is called, twice
// as often as it wants them. Each is of the goroutine that owns the processes:
// if that one is stuck the server is, although this one lives.
func (s *Server) beats() (stop func()) {
	if s.watchdog == 0 {
		return func() {}
	}
	done := make(chan struct{})
	var beating sync.WaitGroup
	beating.Go(func() {
		tick := time.NewTicker(s.watchdog / 2)
		defer tick.Stop()
		for s.obeys(done) {
			s.told(s.manager.Beat())
			select {
			case <-tick.C:
			case <-done:
				return
			}
		}
	})
	return func() {
		close(done)
		beating.Wait()
	}
}

// obeys waits until the model has obeyed a command that does nothing, or need not
// any more; it is false if done came first.
func (s *Server) obeys(done <-chan struct{}) bool {
	obeyed := make(chan struct{})
	select {
	case s.commands <- command{kind: message.Ping, obeyed: obeyed}:
	case <-s.over:
		return true
	case <-done:
		return false
	}
	select {
	case <-obeyed:
		return true
	case <-s.over:
		return true
	case <-done:
		return false
	}
}

// told takes what came of a message to the manager.
func (s *Server) told(err error) {
	if err != nil {
		s.log.Error("service manager", "error", err)
	}
}
