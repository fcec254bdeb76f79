// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package prefork

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/seed-cb702d51/tfork-go/internal/testutil"
)

// loadTime is how long the load tests run: a few seconds in the usual run,
// longer if TFORK_LOAD says so ("20s").
func loadTime(t *testing.T) time.Duration {
	t.Helper()
	text, ok := os.LookupEnv("TFORK_LOAD")
	if !ok {
		return 3 * time.Second
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatalf("TFORK_LOAD: %v", err)
	}
	return d
}

// failure is one request that failed, and when it ran.
type failure struct {
	from, to time.Time
	err      error
}

// load is a crowd of clients, each request on a new connection.
type load struct {
	all      sync.WaitGroup
	stop     chan struct{}
	mu       sync.Mutex
	requests int
	failures []failure
	slowest  time.Duration
}

// startLoad asks for a path that takes the worker a few milliseconds, about
// 300 times a second.
func startLoad(s *stage) *load {
	l := &load{stop: make(chan struct{})}
	const clients, pause = 8, 25 * time.Millisecond
	for range clients {
		l.all.Go(func() {
			tick := time.NewTicker(pause)
			defer tick.Stop()
			for {
				l.one(s)
				select {
				case <-l.stop:
					return
				case <-tick.C:
				}
			}
		})
	}
	return l
}

func (l *load) one(s *stage) {
	f := failure{from: time.Now()}
	_, f.err = s.get(httpService, "/sleep?ms=3")
	f.to = time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.requests++
	l.slowest = max(l.slowest, f.to.Sub(f.from))
	if f.err != nil {
		l.failures = append(l.failures, f)
	}
}

func (l *load) end(t *testing.T, took time.Duration) {
	t.Helper()
	close(l.stop)
	l.all.Wait()
	t.Logf("%d requests (%.0f a second), %d failed, the slowest took %v", l.requests, float64(l.requests)/took.Seconds(), len(l.failures), l.slowest)
}

// TestServer_UnderLoadWithKills: a request fails only if its own worker was
// killed while it served it, and nothing is left of those that were killed.
func TestServer_UnderLoadWithKills(t *testing.T) {
	s := start(t, "children = 4\nbackoff-increment = 0", httpService)
	d := loadTime(t)
	l := startLoad(s)
	var kills []time.Time
	begin := time.Now()
	for n := 1; time.Since(begin) < d; n++ {
		time.Sleep(500 * time.Millisecond) // the rate is the subject
		victim := fmt.Sprintf("prefork-worker-http-%d", rand.IntN(4))
		if n%int(min(10, 2*d/time.Second-2)) == 0 { // every five seconds; once in a short run
			victim = "prefork-master-http"
		}
		if p, ok := s.table()[victim]; ok {
			kills = append(kills, time.Now())
			testutil.Kill(p.Pid, syscall.SIGKILL)
		}
	}
	l.end(t, time.Since(begin))
	for _, f := range l.failures {
		if !ofKilled(f, kills) {
			t.Errorf("failed although nobody was killed meanwhile: %v to %v: %v", f.from, f.to, f.err)
		}
	}
	if len(l.failures) > 3*len(kills) {
		t.Errorf("%d failures for %d kills", len(l.failures), len(kills))
	}
	checkTidy(s, 4)
}

// ofKilled tells whether a failure looks like that of a worker killed while it
// served: the connection broke, in the moment of a kill. Kills of a master do
// not break any.
func ofKilled(f failure, kills []time.Time) bool {
	broke := errors.Is(f.err, io.EOF) || errors.Is(f.err, io.ErrUnexpectedEOF) || errors.Is(f.err, syscall.ECONNRESET)
	for _, k := range kills {
		if broke && !k.Before(f.from) && !k.After(f.to) {
			return true
		}
	}
	return false
}

// checkTidy holds that the server is complete again, with nothing too much.
func checkTidy(s *stage, workers int) {
	s.t.Helper()
	testutil.Poll(s.t, patience, "all are there, and nobody else", func() bool {
		table := s.table()
		for _, p := range table {
			if p.State != StateReady {
				return false
			}
		}
		return len(table) == workers+2
	})
	s.unique()
	for name, pid := range s.pids() {
		testutil.Poll(s.t, patience, name+" has no zombie", func() bool {
			for _, state := range testutil.ChildrenOf(pid) {
				if strings.HasPrefix(state, "Z") {
					return false
				}
			}
			return true
		})
	}
}

// TestServer_UnderLoadWithReloads: not one request fails.
func TestServer_UnderLoadWithReloads(t *testing.T) {
	s := start(t, "children = 4", httpService)
	reloads := max(2, min(10, int(loadTime(t).Seconds())))
	l := startLoad(s)
	begin := time.Now()
	for n := range reloads {
		old := s.pids()
		s.kill(syscall.SIGUSR2, "supervisor")
		s.renewed(old, "master-http", "worker-http-0", "worker-http-1", "worker-http-2", "worker-http-3")
		testutil.Poll(t, patience, fmt.Sprint("reload ", n, " is done"), func() bool { return len(s.table()) == 6 })
	}
	l.end(t, time.Since(begin))
	for _, f := range l.failures {
		t.Errorf("failed: %v", f.err)
	}
	checkTidy(s, 4)
}

// TestServer_RestartLatency measures from a worker's death to its successor's
// first answer, with the one worker that there is.
func TestServer_RestartLatency(t *testing.T) {
	s := start(t, "children = 1\nbackoff-increment = 0", httpService)
	var sum, worst time.Duration
	const rounds = 10
	for range rounds {
		s.kill(syscall.SIGKILL, "worker-http-0")
		begin := time.Now()
		if _, err := s.get(httpService, "/"); err != nil {
			t.Fatal(err)
		}
		took := time.Since(begin)
		sum += took
		worst = max(worst, took)
		s.ready()
	}
	t.Logf("from a kill to the next answer: mean %v, worst %v", sum/rounds, worst)
}

// dialWithin is a connection that must come about.
func dialWithin(t *testing.T, network, address string) net.Conn {
	t.Helper()
	c, err := net.DialTimeout(network, address, patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	return c
}
