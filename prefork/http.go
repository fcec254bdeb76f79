// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package prefork

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
)

// ServeHTTP is a [Service.Serve] for an http.Server: it serves on all stream
// sockets of the task, and counts requests. When ctx ends it takes no new
// connection, finishes the requests that are being served and closes idle
// connections; no connection that was accepted is dropped. A request is told
// "Connection: close" from then on.
//
// srv must be fresh; its Handler is wrapped. The error is nil after a stop.
func ServeHTTP(ctx context.Context, t *Task, srv *http.Server) error {
	srv.Handler = counting(t, srv.Handler)
	var serving sync.WaitGroup
	errs := make(chan error, len(t.streams))
	for _, ln := range t.Listeners() {
		serving.Go(func() {
			if err := srv.Serve(ln); !errors.Is(err, net.ErrClosed) && !errors.Is(err, http.ErrServerClosed) {
				errs <- err
			}
		})
	}
	var failed error
	select {
	case <-ctx.Done():
	case failed = <-errs:
	}
	// The order matters. First the listeners: Accept gives out what it has
	// taken, and Serve knows all connections when it returns. Only then may
	// Shutdown decide that there are none left.
	t.hangUp()
	serving.Wait()
	if err := srv.Shutdown(context.WithoutCancel(ctx)); failed == nil {
		failed = err
	}
	return failed
}

// counting counts requests that were answered.
func counting(t *Task, h http.Handler) http.Handler {
	if h == nil {
		h = http.DefaultServeMux
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer t.CountRequest()
		h.ServeHTTP(w, r)
	})
}
