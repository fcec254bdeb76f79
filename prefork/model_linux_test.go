// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package prefork

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/seed-cb702d51/tfork-go/internal/testutil"
	"github.com/seed-cb702d51/tfork-go/prefork/config"
)

// TestServer_SingleModelReopens: SIGHUP reaches the service there, too.
func TestServer_SingleModelReopens(t *testing.T) {
	testutil.NeedPeerCredentials(t)
	order := filepath.Join(t.TempDir(), "order")
	if err := os.WriteFile(order, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TEST_ORDER", order)
	s, err := New(Options{Services: []string{orderService}, Config: config.Config{Model: "single"}})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- s.Run(context.Background()) }()
	<-s.Ready()
	s.Reopen()
	testutil.Poll(t, patience, "the service reopens", func() bool {
		return strings.Contains(readFile(t, order), "reopen single 0\n")
	})
	s.Stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestServer_ReadyCountsWhoIsReady: a service that has ended for good is not.
func TestServer_ReadyCountsWhoIsReady(t *testing.T) {
	testutil.NeedPeerCredentials(t)
	for _, model := range []string{"single", "prefork"} {
		t.Run(model, func(t *testing.T) {
			t.Setenv("TEST_ORDER", filepath.Join(t.TempDir(), "nosuch")) // its Init fails
			st := config.Default()
			st.Children, st.RestartLimit, st.BackoffIncrement = 1, 1, 0
			var log lines
			s, err := New(Options{
				Services: []string{orderService, httpService},
				Config:   config.Config{Model: model, Defaults: &st},
				Logger:   slog.New(slog.NewTextHandler(&log, nil)),
			})
			if err != nil {
				t.Fatal(err)
			}
			done := make(chan error)
			go func() { done <- s.Run(context.Background()) }()
			<-s.Ready()
			testutil.Poll(t, patience, "the log says who is ready", func() bool { return strings.Contains(log.String(), "services are ready") })
			if !strings.Contains(log.String(), "1 of 2 services are ready, the others have ended") {
				t.Errorf("log:\n%s", log.String())
			}
			s.Stop()
			var failed *FailedError
			if err := <-done; !errors.As(err, &failed) {
				t.Errorf("Run: %v", err)
			}
		})
	}
}

// lines is a log that can be read while it is written.
type lines struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// countingModel is a model of a user.
type countingModel struct{ services []string }

func (m *countingModel) Run(s *Server) error {
	m.services = s.Names()
	<-s.Stopping()
	return nil
}

// usersModel is registered once, however often the tests run in one process.
var usersModel = sync.OnceValue(func() *countingModel {
	m := &countingModel{}
	RegisterModel("counting", m)
	return m
})

func TestServer_RegisteredModel(t *testing.T) {
	testutil.NeedPeerCredentials(t)
	m := usersModel()
	s, err := New(Options{Services: []string{"echo", "http"}, Config: config.Config{Model: "counting"}})
	if err != nil {
		t.Fatal(err)
	}
	s.Stop()
	if err := s.Run(context.Background()); err != nil || strings.Join(m.services, " ") != "echo http" {
		t.Errorf("Run: %v, services %v", err, m.services)
	}
}

// TestServer_ModelThatObeysNothing: it may be told a lot, and can still be stopped.
func TestServer_ModelThatObeysNothing(t *testing.T) {
	testutil.NeedPeerCredentials(t)
	usersModel()
	s, err := New(Options{Services: []string{"echo"}, Config: config.Config{Model: "counting"}})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Run(context.Background()) }()
	told := make(chan struct{})
	go func() {
		defer close(told)
		for range 2 * cap(s.commands) {
			s.Reopen()
			s.Reload()
		}
	}()
	select {
	case <-told:
	case <-time.After(patience):
		t.Error("nobody takes the commands")
	}
	s.Stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestServer_ModelThatReturnsByItself, while more is said than fits anywhere.
func TestServer_ModelThatReturnsByItself(t *testing.T) {
	testutil.NeedPeerCredentials(t)
	s, err := New(Options{Services: []string{"echo"}})
	if err != nil {
		t.Fatal(err)
	}
	told := make(chan struct{})
	s.model = modelFunc(func(s *Server) error {
		go func() {
			defer close(told)
			for range 100 * cap(s.commands) {
				s.onSignal(syscall.SIGHUP)
			}
		}()
		return nil
	})
	if err := s.Run(t.Context()); err != nil {
		t.Error(err)
	}
	select {
	case <-told:
	case <-time.After(patience):
		t.Error("whoever commands waits for a model that has returned")
	}
}

type modelFunc func(*Server) error

func (f modelFunc) Run(s *Server) error { return f(s) }
