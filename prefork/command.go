// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package prefork

import (
	"strings"

	"github.com/seed-cb702d51/tfork-go/prefork/internal/message"
)

// What a server can be told, by its own program, by a signal, and through its
// runtime directory. All of it ends at the model, which owns the processes.

// Stop makes Run end: everything stops, the last service first. It does not wait
// for that. A second call does nothing.
func (s *Server) Stop() {
	s.sayStop.Do(func() {
		close(s.stopping) // first: a manager that does not listen costs its time
		s.told(s.manager.Stopping())
	})
}

// stopOrKill is Stop, and the second time the end of all patience.
func (s *Server) stopOrKill(reason string) {
	select {
	case <-s.stopping:
		s.log.Error("killing everything", "reason", "a second "+reason)
		s.sayKill.Do(func() { close(s.killed) })
	default:
		s.log.Info("stopping", "reason", reason)
		s.Stop()
	}
}

// Reload replaces all processes by new ones, from the program and with the
// configuration that are on disk now: first the new ones become ready, then the
// old ones are told to stop. If not all new ones become ready, they are ended
// and nothing has changed. It returns at once; the log tells the outcome.
func (s *Server) Reload() { s.command(command{kind: message.Reload}) }

// Reopen opens the logs again, in every process.
func (s *Server) Reopen() {
	err := s.out.reopen(nil)
	if err != nil {
		s.log.Error("the old log file stays in use", "error", err)
	}
	s.command(command{kind: message.Reopen, opened: err == nil})
}

// Scale adds delta to the number of workers of a service, or of all for the
// name "". It holds until the next reload.
func (s *Server) Scale(service string, delta int) {
	s.command(command{kind: message.Scale, service: strings.ToLower(service), delta: delta})
}

// command hands a command to the model, unless it is too late.
func (s *Server) command(c command) {
	select {
	case s.commands <- c:
	case <-s.stopping:
	}
}

// obeyFor obeys the commands for a model that does not, until it has returned:
// somebody must, or the one that gives them would wait for ever, and with it
// everybody who wants to stop the server.
func (s *Server) obeyFor() {
	stopping := s.stopping
	for {
		select {
		case <-stopping:
			stopping = nil
			s.closeSockets()
		case c := <-s.commands:
			switch c.kind {
			case message.Ping:
				close(c.obeyed)
			case message.Reopen:
				s.here.reopen()
			default:
				s.log.Warn("this model can neither reload nor scale", "model", s.config.Model)
			}
		case <-s.over:
			return
		}
	}
}
