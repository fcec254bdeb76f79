// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package prefork

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"time"
)

// ServeHTTP is a [Service.Serve] for an http.Server: it serves on all stream
// sockets of the task, and counts requests. When ctx ends it takes no new
// connection, serves the first request of each one that it has taken, finishes
// all others and closes idle connections, as [http.Server.Shutdown] does. One
// that sends nothing at all is closed after some five seconds.
//
// srv must be fresh; its Handler, ConnState and ConnContext are wrapped. The
// error is nil after a stop.
func ServeHTTP(ctx context.Context, t *Task, srv *http.Server) error {
	fresh := watchConns(srv)
	srv.Handler = counting(t, fresh.handler(srv.Handler))
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
	// taken, and when Serve returns all connections are known.
	t.hangUp()
	serving.Wait()
	fresh.drain(srv)
	// The worker's own time limit bounds this.
	return errors.Join(failed, srv.Shutdown(context.WithoutCancel(ctx)))
}

// freshConns are the connections whose first request has not reached the
// handler. Shutdown alone would drop a request that arrives on one of them,
// although it was accepted: that would be a failed request at each reload.
type freshConns struct {
	next func(net.Conn, http.ConnState)
	mu   sync.Mutex
	set  map[net.Conn]struct{}
	none chan struct{} // gets a token when the set has become empty
}

// connKey is where a request's context has its connection.
type connKey struct{}

// watchConns connects the hooks of a server, before those of its owner.
func watchConns(srv *http.Server) *freshConns {
	f := &freshConns{next: srv.ConnState, set: map[net.Conn]struct{}{}, none: make(chan struct{}, 1)}
	srv.ConnState = f.state
	with := srv.ConnContext
	srv.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		if with != nil {
			ctx = with(ctx, c)
		}
		return context.WithValue(ctx, connKey{}, c)
	}
	return f
}

// state follows a connection. Idle means that its first request is over.
func (f *freshConns) state(c net.Conn, s http.ConnState) {
	switch s {
	case http.StateNew:
		f.mu.Lock()
		f.set[c] = struct{}{}
		f.mu.Unlock()
	case http.StateIdle, http.StateClosed, http.StateHijacked:
		f.served(c)
	}
	if f.next != nil {
		f.next(c, s)
	}
}

// served takes a connection off the set.
func (f *freshConns) served(c net.Conn) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.set, c)
	if len(f.set) == 0 {
		select {
		case f.none <- struct{}{}:
		default:
		}
	}
}

// handler notes that a connection's request is in good hands.
func (f *freshConns) handler(h http.Handler) http.Handler {
	if h == nil {
		h = http.DefaultServeMux
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c, ok := r.Context().Value(connKey{}).(net.Conn); ok {
			f.served(c)
		}
		h.ServeHTTP(w, r)
	})
}

// drain waits until the set is empty.
func (f *freshConns) drain(srv *http.Server) {
	again := time.NewTicker(500 * time.Millisecond)
	defer again.Stop()
	for {
		// It closes connections that have sent nothing for five seconds.
		srv.SetKeepAlivesEnabled(false)
		f.mu.Lock()
		left := len(f.set)
		f.mu.Unlock()
		if left == 0 {
			return
		}
		select {
		case <-f.none:
		case <-again.C:
		}
	}
}

// counting counts requests that were answered.
func counting(t *Task, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer t.CountRequest()
		h.ServeHTTP(w, r)
	})
}
