// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package prefork

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/seed-cb702d51/tfork-go/internal/testutil"
	"github.com/seed-cb702d51/tfork-go/prefork/internal/message"
)

// reopening counts the calls of slowReopenService's Reopen in this process: those
// that have begun, and those that run.
var reopening struct{ begun, running atomic.Int32 }

// slowReopenService does not get out of its Reopen while the gate is closed. A
// worker is told to reopen while it is in its first hook.
var slowReopenService = testService(Service{
	Name: "slow-reopen", Listen: []string{"tcp:127.0.0.1:0"}, Serve: serveTestHTTP,
	PostFork: func(*Task) error {
		testutil.Kill(os.Getpid(), syscall.SIGHUP)
		if testutil.PollFor(100*time.Millisecond, func() bool { return reopening.begun.Load() > 0 }) {
			return errors.New("Reopen runs beside PostFork")
		}
		return nil
	},
	Reopen: func(t *Task) error {
		reopening.begun.Add(1)
		defer reopening.running.Add(-1)
		if reopening.running.Add(1) > 1 {
			t.Logger().Error("Reopen runs beside itself")
		}
		testutil.PollFor(time.Hour, func() bool {
			_, err := os.Stat(os.Getenv("TEST_GATE"))
			return err != nil
		})
		return nil
	},
})

// TestServer_SlowReopen: the hook has its turn after those before it, one call
// after the other, and whoever waits for it is not deaf meanwhile.
func TestServer_SlowReopen(t *testing.T) {
	gate := filepath.Join(t.TempDir(), "gate")
	t.Setenv("TEST_GATE", gate)
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s := start(t, "children = 1\nstop-timeout = \"1h\"", slowReopenService)
	s.logged("log opened again", "role=worker") // the one of PostFork
	for _, name := range []string{"prefork-worker-slow-reopen-0", "prefork-master-slow-reopen"} {
		if err := tell(s.dir, name, message.Message{Kind: message.Reopen}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	s.kill(syscall.SIGHUP, "worker-slow-reopen-0")
	s.kill(syscall.SIGHUP, "supervisor")
	s.logged("log opened again", "role=master")
	if err := s.stop(); err != nil {
		t.Errorf("the server ended with %v", err)
	}
	for _, bad := range []string{"Reopen runs beside", "killing"} {
		if line := s.logLine(bad); line != "" {
			t.Error(line)
		}
	}
}

// TestReopener_TheNewestFileCounts, and the others are closed.
func TestReopener_TheNewestFileCounts(t *testing.T) {
	r := newReopener()
	older, newer := open(t), open(t)
	r.ask(older)
	r.ask(newer)
	r.ask(nil) // says no other file
	if _, err := older.Stat(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("the older file: %v, want it closed", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var got []*os.File
	r.work(ctx.Done(), func(f *os.File) {
		got = append(got, f)
		cancel()
	})
	if len(got) != 1 || got[0] != newer {
		t.Errorf("obeyed %v, want the newer file, once", got)
	}
}

// open returns a file of the test's own.
func open(t *testing.T) *os.File {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}
