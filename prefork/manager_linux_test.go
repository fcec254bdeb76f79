// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package prefork

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed-cb702d51/tfork-go/internal/testutil"
	"github.com/seed-cb702d51/tfork-go/prefork/config"
)

// TestServer_ManagerThatDoesNotRead costs its time, and stops nobody: not the
// replacement of a worker, and not the end.
func TestServer_ManagerThatDoesNotRead(t *testing.T) {
	path := testutil.Unixgram(t).LocalAddr().String()
	testutil.FillQueue(t, path)
	s := prepare(t, "children = 1\nbackoff-increment = 0")
	s.env = []string{"NOTIFY_SOCKET=" + path}
	s.launch(httpService)
	s.ready()
	old := s.pids()
	s.kill(sigabrt, "master-http")
	s.renewed(old, "master-http", "worker-http-0")
	if err := s.stop(); err != nil {
		t.Error(err)
	}
	s.logged("service manager", "i/o timeout")
}

// lateService does not begin before the file TEST_LATE is there.
var lateService = testService(Service{
	Name: "late", Listen: []string{"tcp:127.0.0.1:0"}, Serve: serveTestHTTP,
	PostFork: func(*Task) error {
		open := func() bool { _, err := os.Stat(os.Getenv("TEST_LATE")); return err == nil }
		if !testutil.PollFor(patience, open) {
			return errors.New("nobody opens the gate")
		}
		return nil
	},
})

// managed is a server in this process, with a manager who listens.
type managed struct {
	*Server
	t       *testing.T
	manager *net.UnixConn
	gate    string
	done    chan error
}

// manage makes a server with one late worker, and runs it.
func manage(t *testing.T, o Options, env ...string) *managed {
	t.Helper()
	testutil.NeedPeerCredentials(t)
	m := &managed{t: t, manager: testutil.Unixgram(t), gate: filepath.Join(t.TempDir(), "gate"), done: make(chan error, 1)}
	for _, e := range append(env, "NOTIFY_SOCKET="+m.manager.LocalAddr().String(), "TEST_LATE="+m.gate) {
		key, value, _ := strings.Cut(e, "=")
		t.Setenv(key, value)
	}
	st := config.Default()
	st.Children, st.BackoffIncrement = 1, 0
	o.Services, o.Config.Defaults, o.Config.RuntimeDir = []string{lateService}, &st, filepath.Join(t.TempDir(), "run")
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	m.Server = s
	go func() { m.done <- s.Run(t.Context()) }()
	t.Cleanup(func() {
		s.Stop()
		if err := <-m.done; err != nil {
			t.Error(err)
		}
	})
	return m
}

// open opens the gate.
func (m *managed) open() {
	m.t.Helper()
	if err := os.WriteFile(m.gate, nil, 0o600); err != nil {
		m.t.Fatal(err)
	}
}

// said holds what the manager hears next.
func (m *managed) said(want string) {
	m.t.Helper()
	b := make([]byte, 1000)
	m.manager.SetReadDeadline(time.Now().Add(testutil.Scaled(patience)))
	n, err := m.manager.Read(b)
	if err != nil || !strings.HasPrefix(string(b[:n]), want) {
		m.t.Fatalf("the manager heard %q, %v; want %s", b[:n], err, want)
	}
}

// TestServer_ReloadThatFails_BeforeAnybodyIsReady does not tell the manager that
// somebody is.
func TestServer_ReloadThatFails_BeforeAnybodyIsReady(t *testing.T) {
	m := manage(t, Options{Reload: func() (config.Config, error) { return config.Config{}, errors.New("it is broken") }})
	m.Reload()
	m.said("RELOADING=1\n")
	m.said("STATUS=the last reload failed: configuration: it is broken")
	m.open()
	m.said("READY=1\nSTATUS=1 services are ready")
	m.Reload()
	m.said("RELOADING=1\n")
	m.said("READY=1\nSTATUS=the last reload failed: configuration: it is broken")
}

// TestServer_ReadyInTheMiddleOfAReload: whoever waits in the program hears of it,
// and the manager of the end of the reload, once.
func TestServer_ReadyInTheMiddleOfAReload(t *testing.T) {
	answer := make(chan error)
	m := manage(t, Options{Reload: func() (config.Config, error) { return config.Config{}, <-answer }})
	m.Reload()
	m.said("RELOADING=1\n")
	m.open()
	<-m.Ready()
	answer <- errors.New("it is broken")
	m.said("READY=1\nSTATUS=the last reload failed: configuration: it is broken")
}

// stuck is a log whose writer gets stuck at the begin of a reload.
type stuck struct {
	slog.Handler
	reached, release chan struct{}
}

func (h stuck) Enabled(context.Context, slog.Level) bool { return true }

func (h stuck) Handle(_ context.Context, r slog.Record) error {
	if r.Message == "reload begins" {
		close(h.reached)
		<-h.release
	}
	return nil
}

// TestServer_Watchdog hears of a supervisor that lives, whatever its services do,
// and of none that is stuck.
func TestServer_Watchdog(t *testing.T) {
	log := stuck{slog.DiscardHandler, make(chan struct{}), make(chan struct{})}
	const interval = 100 * time.Millisecond
	m := manage(t, Options{
		Logger: slog.New(log),
		Reload: func() (config.Config, error) { return config.Config{}, errors.New("it is broken") },
	}, "WATCHDOG_USEC=100000")
	for range 3 {
		m.said("WATCHDOG=1")
	}
	m.Reload()
	<-log.reached
	silent := testutil.PollFor(patience, func() bool {
		m.manager.SetReadDeadline(time.Now().Add(5 * interval))
		_, err := m.manager.Read(make([]byte, 1000))
		return errors.Is(err, os.ErrDeadlineExceeded)
	})
	close(log.release)
	if !silent {
		t.Error("a supervisor that is stuck feeds the watchdog")
	}
	m.open()
	<-m.Ready()
	testutil.Poll(t, patience, "it beats again", func() bool {
		m.manager.SetReadDeadline(time.Now().Add(interval))
		b := make([]byte, 1000)
		n, _ := m.manager.Read(b)
		return string(b[:n]) == "WATCHDOG=1"
	})
}

// TestServer_Watchdog_OfOtherModels: the process lives, if nothing else.
func TestServer_Watchdog_OfOtherModels(t *testing.T) {
	m := manage(t, Options{Config: config.Config{Model: "single"}}, "WATCHDOG_USEC=100000")
	for range 3 {
		m.said("WATCHDOG=1")
	}
	m.open()
	<-m.Ready()
}
