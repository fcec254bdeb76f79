// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package prefork

import (
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/seed-cb702d51/tfork-go/prefork/config"
)

// TestServer_ServesAndStops is the model in a nutshell.
func TestServer_ServesAndStops(t *testing.T) {
	forEachStrategy(t, func(t *testing.T) {
		s := start(t, "children = 3", httpService, echoService, aloneService)
		for _, name := range []string{"supervisor", "master-http", "worker-http-0", "worker-http-2", "master-echo", "worker-echo-1", "master-alone"} {
			if p := s.table()["prefork-"+name]; p.State != StateReady {
				t.Errorf("%s: %+v", name, p)
			}
		}
		s.unique()
		workers := map[int]bool{}
		for range 30 {
			got := s.see(httpService)
			workers[got.Instance] = true
			if got.Shared != "from the master" || got.Strategy != os.Getenv("TFORK_STRATEGY") {
				t.Errorf("the worker says %+v", got)
			}
		}
		if len(workers) != 3 {
			t.Errorf("served by %v, want all three", workers)
		}
		if got := s.see(aloneService); got.Pid != s.pid("master-alone") || got.Instance != 0 {
			t.Errorf("served by %+v, want the master", got)
		}
	})
}

func TestServer_WorkerRestart(t *testing.T) {
	forEachStrategy(t, func(t *testing.T) {
		s := start(t, "children = 4\nbackoff-increment = 0", httpService)
		old := s.pids()
		s.kill(syscall.SIGTERM, "worker-http-0")
		s.renewed(old, "worker-http-0")
		s.same(old, "supervisor", "master-http", "worker-http-1", "worker-http-2", "worker-http-3")
		s.unique()
		s.see(httpService)
	})
}

func TestServer_MasterRestart(t *testing.T) {
	forEachStrategy(t, func(t *testing.T) {
		s := start(t, "children = 4\nbackoff-increment = 0", httpService)
		old := s.pids()
		s.kill(syscall.SIGTERM, "master-http")
		s.renewed(old, "master-http", "worker-http-0", "worker-http-1", "worker-http-2", "worker-http-3")
		s.same(old, "supervisor")
		s.unique()
		s.see(httpService)
	})
}

// TestTree_ReplacementHasTheTimeOfAFirstStart: its hooks as long as they have
// there, and then its workers.
func TestTree_ReplacementHasTheTimeOfAFirstStart(t *testing.T) {
	st := config.Default()
	st.ReadyTimeout = time.Minute
	for name, want := range map[string]time.Duration{httpService: 2*time.Minute + margin, aloneService: time.Minute + margin} {
		service, err := lookup(name)
		if err != nil {
			t.Fatal(err)
		}
		tr := &tree{server: &Server{services: []*Service{service}}, config: &config.Config{Defaults: &st}}
		if got := tr.policy(0).ReplaceTimeout; got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
}
