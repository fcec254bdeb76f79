// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package prefork

import "fmt"

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

// told takes what came of a message to the manager.
func (s *Server) told(err error) {
	if err != nil {
		s.log.Error("service manager", "error", err)
	}
}
