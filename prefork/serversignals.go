// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package prefork

import (
	"context"
	"os"
	"os/signal"

	"github.com/seed-cb702d51/tfork-go/prefork/internal/orphan"
)

// watchSignals connects the signals until stop is called.
func (s *Server) watchSignals() (stop func()) {
	c := make(chan os.Signal, 8)
	notifySignals(c)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for sig := range c {
			s.onSignal(sig)
		}
	}()
	return func() {
		signal.Stop(c)
		close(c)
		<-done
	}
}

// reapOrphans reaps the strangers that come to this process, until stop is
// called.
func (s *Server) reapOrphans(ctx context.Context) (stop func()) {
	if !orphan.Needed() {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := orphan.Run(ctx, nil, func(r orphan.Reaped) {
			s.log.Info("reaped an orphan", "orphan-pid", r.Pid, "status", r.Status)
		}); err != nil {
			s.log.Error("orphans are not reaped", "error", err)
		}
	}()
	return func() {
		cancel()
		<-done
	}
}
