// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package prefork

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-cb702d51/tfork-go/prefork/config"
)

// TestServer_MemoryLimitBelowAWorkersOwnSize is told: workers come and go for no
// other reason.
func TestServer_MemoryLimitBelowAWorkersOwnSize(t *testing.T) {
	s := start(t, "children = 1\nmax-memory = \"1MiB\"", httpService)
	s.logged("level=WARN", "max-memory is below the size", "limit=1048576", "role=worker")
}

// TestServer_Recycling: a worker that has reached a limit is replaced, its
// successor is ready before it is told to leave, and no request fails.
func TestServer_Recycling(t *testing.T) {
	for _, tt := range []struct{ name, settings, path, reason string }{
		{"requests", "max-requests = 10", "/", `reason="replaced after `},
		{"age", "max-age = \"400ms\"", "/", `ms of age"`},
		{"memory", "max-memory = \"96MiB\"", "/alloc?mib=128", ` bytes of memory"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			forEachStrategy(t, func(t *testing.T) {
				s := start(t, "children = 2\nrecycle-jitter = 0.5\n"+tt.settings, httpService, aloneService)
				recycled(s, httpService, "worker-http-0", tt.path, tt.reason)
				recycled(s, aloneService, "master-alone", tt.path, tt.reason)
				s.unique()
				if line := s.logLine("level=ERROR"); line != "" {
					t.Errorf("an error: %s", line)
				}
			})
		})
	}
}

// recycled asks a service from several clients at once until a process of it
// was replaced, and holds that it was done in the right order.
func recycled(s *stage, service, name, path, reason string) {
	s.t.Helper()
	old := s.pids()
	var all sync.WaitGroup
	done := make(chan struct{})
	for range 3 {
		all.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if _, err := s.get(service, path); err != nil {
					s.t.Errorf("a request failed: %v", err)
				}
			}
		})
	}
	s.renewed(old, name)
	close(done)
	all.Wait()
	who := fmt.Sprint("child-pid=", old["prefork-"+name], " ")
	s.logged("told to stop", who, reason)
	log := readFile(s.t, s.log)
	before, _, _ := strings.Cut(log, s.logLine("told to stop", who))
	starts := 0
	for line := range strings.Lines(before) {
		if strings.Contains(line, "msg=started") && strings.Contains(line, "child=prefork-"+name+" ") {
			starts++
		}
	}
	if starts < 2 {
		s.t.Errorf("%s was told to stop before it had a successor", name)
	}
}

// TestLifetime_Jitter: limits are lowered, by no more than the setting says, and
// not by the same part in each worker.
func TestLifetime_Jitter(t *testing.T) {
	st := config.Default()
	st.MaxRequests, st.MaxAge, st.MaxMemory, st.RecycleJitter = 1000, 1000*time.Second, 1<<30, 0.25
	w := &worker{process: &process{boot: &boot{Settings: st}}}
	seen := map[lifetime]bool{}
	for range 100 {
		l := w.lifetime()
		seen[l] = true
		if l.requests > 1000 || l.requests < 750 || l.age > st.MaxAge || l.age < 750*time.Second || l.memory > 1<<30 || l.memory < 3<<28 {
			t.Fatalf("limits %+v are not 75 to 100 %% of what was set", l)
		}
	}
	if len(seen) < 50 {
		t.Errorf("100 workers have %d different limits", len(seen))
	}
	st.MaxRequests, st.RecycleJitter = 1, 1
	w.boot.Settings = st
	for range 100 {
		if l := w.lifetime(); l.requests < 1 {
			t.Fatalf("limits %+v: no request at all", l)
		}
	}
	w.boot.Settings = config.Default()
	if l := w.lifetime(); l != (lifetime{}) {
		t.Errorf("without settings: %+v", l)
	}
}

// TestServer_RecyclingNeedsAReadySuccessor: as long as none comes up, the old
// worker serves on.
func TestServer_RecyclingNeedsAReadySuccessor(t *testing.T) {
	closed := gate(t)
	s := start(t, "children = 1\nmax-requests = 1\nready-timeout = \"2s\"", gatedService)
	old := s.pids()
	closed(true)
	if _, err := s.get(gatedService, "/"); err != nil {
		t.Fatal(err)
	}
	s.logged("a worker could not be replaced")
	s.same(old, "worker-gated-0")
	s.see(gatedService)
	closed(false)
	s.renewed(old, "worker-gated-0")
	s.see(gatedService)
}

// gate makes the function that closes and opens the gate of gatedService.
func gate(t *testing.T) func(bool) {
	path := t.TempDir() + "/closed"
	t.Setenv("TEST_GATE", path)
	return func(closed bool) {
		if closed {
			if err := os.WriteFile(path, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			return
		}
		os.Remove(path)
	}
}
