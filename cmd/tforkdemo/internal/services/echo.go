// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package services

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"github.com/seed-cb702d51/tfork-go/prefork"
)

// lastWords is how long a worker that is to leave waits for a silent client.
const lastWords = time.Second

// serveEcho sends back what comes, by TCP and UDP. An error of a socket ends
// the worker at once, and its successor begins anew.
func serveEcho(ctx context.Context, t *prefork.Task) error {
	var all sync.WaitGroup
	failed := make(chan error, len(t.Listeners())+len(t.PacketConns()))
	serve := func(loop func() error) {
		all.Go(func() {
			if err := loop(); !left(err) {
				failed <- err
			}
		})
	}
	for _, ln := range t.Listeners() {
		serve(func() error { return echoStreams(ctx, t, ln) })
	}
	for _, pc := range t.PacketConns() {
		serve(func() error { return echoPackets(t, pc) })
	}
	select {
	case <-ctx.Done():
		all.Wait()
		return nil
	case err := <-failed:
		return err
	}
}

// left tells whether a socket says that the worker is to leave, which it does
// before the context.
func left(err error) bool {
	return errors.Is(err, net.ErrClosed) || errors.Is(err, os.ErrDeadlineExceeded)
}

// echoStreams takes connections, and returns when all it took have ended.
func echoStreams(ctx context.Context, t *prefork.Task, ln net.Listener) error {
	var all sync.WaitGroup
	defer all.Wait()
	for {
		c, err := ln.Accept()
		if err != nil {
			return err
		}
		t.CountRequest()
		all.Go(func() {
			defer c.Close()
			hurry := context.AfterFunc(ctx, func() { c.SetReadDeadline(time.Now().Add(lastWords)) })
			defer hurry()
			io.Copy(c, c) // a connection that breaks is its client's business
		})
	}
}

func echoPackets(t *prefork.Task, pc net.PacketConn) error {
	b := make([]byte, 1<<16)
	for {
		n, from, err := pc.ReadFrom(b)
		switch {
		case left(err):
			return err
		case err != nil:
			// Of a datagram that was sent before: ICMP said that nobody took it.
			t.Logger().Debug("echo", "error", err)
		default:
			t.CountRequest()
			pc.WriteTo(b[:n], from)
		}
	}
}
