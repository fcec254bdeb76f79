// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package prefork

import (
	"errors"
	"log/slog"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-cb702d51/tfork-go/prefork/accept"
	"github.com/seed-cb702d51/tfork-go/prefork/config"
)

// Task is a service in one process, as its hooks see it. Its methods may be
// called by many goroutines at once.
type Task struct {
	service  *Service
	settings config.Settings
	role     string
	instance int
	log      *slog.Logger
	strategy string

	streams []net.Listener
	packets []net.PacketConn
	closing sync.Once

	onReady  func()
	isReady  sync.Once
	requests atomic.Int64

	mu     sync.Mutex
	shared []byte

	// served is closed when enough requests are; 0 is never.
	enough  atomic.Int64
	served  chan struct{}
	serving sync.Once
}

// Service returns the service's name.
func (t *Task) Service() string { return t.service.Name }

// Role returns "master" or "worker", or "single" if the service runs in the
// supervisor itself.
func (t *Task) Role() string { return t.role }

// Instance returns the worker's number, from 0. A successor has the number of
// its predecessor. In a master it is -1.
func (t *Task) Instance() int { return t.instance }

// Strategy returns how tfork started this process: "direct" or "waiter", or ""
// if it was not started by tfork.
func (t *Task) Strategy() string { return t.strategy }

// Settings returns a copy of the service's settings.
func (t *Task) Settings() config.Settings { return t.settings }

// Logger returns the process's logger, which names service, instance and pid.
func (t *Task) Logger() *slog.Logger { return t.log }

// Listeners returns the stream sockets in the order of the configuration, none
// in a master that has workers. They are closed when the worker is to leave.
func (t *Task) Listeners() []net.Listener {
	return slices.Clone(t.streams)
}

// PacketConns returns the datagram sockets in the order of the configuration.
// All workers share their queues. Reading from them ends with
// os.ErrDeadlineExceeded when the worker is to leave; answers can still be sent.
func (t *Task) PacketConns() []net.PacketConn { return slices.Clone(t.packets) }

// Ready says that the worker can serve. Only the first call counts. It is for
// services with [Service.ManualReady]; for others it has been called before
// Serve.
func (t *Task) Ready() {
	t.isReady.Do(func() {
		if t.onReady != nil {
			t.onReady()
		}
	})
}

// CountRequest notes a request that was served: for the process table and for
// [config.Settings.MaxRequests].
func (t *Task) CountRequest() {
	n, enough := t.requests.Add(1), t.enough.Load()
	if enough > 0 && n >= enough {
		t.serving.Do(func() { close(t.served) })
	}
}

// after returns a channel that is closed at the n-th request, or never for 0.
// It belongs before the first one.
func (t *Task) after(n int64) <-chan struct{} {
	t.served = make(chan struct{})
	t.enough.Store(n)
	return t.served
}

// Share gives data to the workers that are started from now on. It belongs in
// the master's Init and BeforeLoop. data must not be changed afterwards.
func (t *Task) Share(data []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.shared = data
}

// Shared returns what the master gave, or nil.
func (t *Task) Shared() []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.shared
}

// open makes listeners of the sockets that were handed down, and closes those.
func (t *Task) open(list []*socket) error {
	for _, s := range list {
		for _, f := range s.Files {
			if packet(s.Network) {
				pc, err := net.FilePacketConn(f)
				if err != nil {
					return err
				}
				t.packets = append(t.packets, pc)
			} else {
				l, err := listener(s, f)
				if err != nil {
					return err
				}
				t.streams = append(t.streams, l)
			}
		}
	}
	return nil
}

// listener returns package accept's, unless the socket is the worker's own:
// then a connection wakes nobody else anyhow, and net's costs less.
func listener(s *socket, f *os.File) (net.Listener, error) {
	if s.Own {
		return net.FileListener(f)
	}
	return accept.New(f)
}

// hangUp takes no new work: what is in the queues waits for other workers.
func (t *Task) hangUp() {
	t.closing.Do(func() {
		for _, l := range t.streams {
			l.Close()
		}
		for _, pc := range t.packets {
			pc.SetReadDeadline(time.Unix(1, 0))
		}
	})
}

// poke looks at the queues again: the kernel may have woken a worker that died.
func (t *Task) poke() {
	for _, l := range t.streams {
		if shared, ok := l.(*accept.Listener); ok {
			shared.Poke()
		}
	}
}

// closeAll gives everything back, after Serve.
func (t *Task) closeAll() error {
	t.hangUp()
	var errs []error
	for _, pc := range t.packets {
		errs = append(errs, pc.Close())
	}
	return errors.Join(errs...)
}
