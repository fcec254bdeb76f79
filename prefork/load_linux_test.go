// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package prefork

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptrace"
	"os"
	"path/filepath"
	"slices"
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

// load is a crowd of clients, each request on a new connection.
type load struct {
	s      *stage
	ledger string // path
	begin  time.Time
	all    sync.WaitGroup
	stop   chan struct{}

	mu       sync.Mutex
	requests []request
}

// startLoad starts a server with four workers, and clients that ask about 320
// times a second; some six requests are being served at any time.
func startLoad(t *testing.T) *load {
	t.Helper()
	l := &load{ledger: filepath.Join(t.TempDir(), "ledger"), stop: make(chan struct{})}
	if err := os.WriteFile(l.ledger, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	t.Setenv(ledgerKey, l.ledger)
	l.s = start(t, "children = 4\nbackoff-increment = 0", loadService)
	l.begin = time.Now()
	const clients, pause = 16, 50 * time.Millisecond
	for range clients {
		l.all.Go(func() {
			tick := time.NewTicker(pause)
			defer tick.Stop()
			for {
				l.one("/")
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

// one makes a request and notes what became of it.
func (l *load) one(path string) {
	var r request
	trace := &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) { r.client = i.Conn.LocalAddr().String() }}
	req, err := http.NewRequestWithContext(httptrace.WithClientTrace(context.Background(), trace),
		http.MethodGet, "http://"+l.s.addrs[loadService][0]+path, nil)
	if err != nil {
		panic(err)
	}
	r.from = time.Now()
	r.err = ask(req)
	r.to = time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.requests = append(l.requests, r)
}

func ask(req *http.Request) error {
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return errors.New(resp.Status)
	}
	return nil
}

// end stops the clients and tells what they did. The long form must have been
// the load that it claims to be.
func (l *load) end(t *testing.T) {
	t.Helper()
	took := time.Since(l.begin)
	close(l.stop)
	l.all.Wait()
	var slowest time.Duration
	for _, r := range l.requests {
		slowest = max(slowest, r.to.Sub(r.from))
	}
	rate := float64(len(l.requests)) / took.Seconds()
	t.Logf("%d requests in %.1f s (%.0f a second), the slowest took %v", len(l.requests), took.Seconds(), rate, slowest.Round(time.Millisecond))
	if _, long := os.LookupEnv("TFORK_LOAD"); long && rate < 200 {
		t.Errorf("only %.0f requests a second: this machine is too busy to show anything", rate)
	}
}

// TestServer_UnderLoadWithKills: a request fails only if its own worker was
// killed while it had it, and nothing is left of those that were killed.
func TestServer_UnderLoadWithKills(t *testing.T) {
	d := loadTime(t)
	l := startLoad(t)
	var kills []kill
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for n := 1; time.Since(l.begin) < d; n++ {
		<-tick.C
		kills = append(kills, l.kill(fmt.Sprintf("prefork-worker-load-%d", rand.IntN(4)))...)
		if n%10 == 5 { // every five seconds; once in a short run
			kills = append(kills, l.kill("prefork-master-load")...)
		}
	}
	l.end(t)
	kills = append(kills, l.certain(t))
	ledger := readLedger(t, l.ledger)
	v := judge(l.requests, ledger, kills)
	masters := 0
	for _, k := range kills {
		if k.master {
			masters++
		}
	}
	t.Logf("%d kills of workers, %d of masters; %d requests failed: %d of killed workers by the ledger, %d in the moment between accept and the ledger",
		len(kills)-masters, masters, v.failed, v.failed-v.unrecorded, v.unrecorded)
	for _, w := range v.wrong {
		t.Error(w)
	}
	checkTidy(l.s, 4)
	checkLeft(l.s, ledger)
}

// kill kills the process of that name, if there is one just now.
func (l *load) kill(name string) []kill {
	p, ok := l.s.table()[name]
	if !ok {
		return nil
	}
	k := kill{pid: p.Pid, before: time.Now(), master: p.Role == "master"}
	if testutil.Kill(p.Pid, syscall.SIGKILL) != nil {
		return nil
	}
	k.await(l.s.t)
	return []kill{k}
}

// await notes when the victim can do nothing more. SIGKILL does not interrupt a
// system call that does not wait: an accept(2) that had begun is completed.
func (k *kill) await(t testing.TB) {
	t.Helper()
	testutil.Poll(t, patience, "what was killed is gone", func() bool {
		return !testutil.Alive(k.pid) && testutil.Threads(k.pid) <= 1
	})
	k.after = time.Now()
}

// certain kills a worker that has a request for sure: a test in which no kill
// hit anything would show nothing.
func (l *load) certain(t *testing.T) (k kill) {
	t.Helper()
	before := len(readLedger(t, l.ledger))
	var asking sync.WaitGroup
	asking.Go(func() { l.one("/hold") })
	var ledger []taken
	testutil.Poll(t, patience, "a worker has the request", func() bool {
		ledger = readLedger(t, l.ledger)
		return len(ledger) > before
	})
	k.pid, k.before = ledger[before].pid, time.Now()
	if err := testutil.Kill(k.pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	k.await(t)
	asking.Wait()
	if r := l.requests[len(l.requests)-1]; r.err == nil || r.client != ledger[before].client {
		t.Errorf("the worker of %s was killed, and yet: %v", ledger[before].client, r)
	}
	return k
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
	var zombies []string
	if !testutil.PollFor(patience, func() bool {
		zombies = zombiesBelow(s.cmd.Process.Pid)
		return len(zombies) == 0
	}) {
		s.t.Errorf("zombies: %v", zombies)
	}
}

// zombiesBelow looks at a process's descendants, waiters included.
func zombiesBelow(pid int) (found []string) {
	for child, state := range testutil.ChildrenOf(pid) {
		if strings.HasPrefix(state, "Z") {
			found = append(found, fmt.Sprint(child, " ", state))
		}
		found = append(found, zombiesBelow(child)...)
	}
	return found
}

// checkLeft holds that of all workers that ever served only those of the
// process table still live.
func checkLeft(s *stage, ledger []taken) {
	s.t.Helper()
	for pid := range byWorker(ledger) {
		if !testutil.PollFor(patience, func() bool {
			return !testutil.Alive(pid) || slices.Contains(slices.Collect(maps.Values(s.pids())), pid)
		}) {
			s.t.Errorf("worker %d lives, and has no name", pid)
		}
	}
}

// byWorker counts the connections that each worker took.
func byWorker(ledger []taken) map[int]int {
	took := map[int]int{}
	for _, c := range ledger {
		took[c.pid]++
	}
	return took
}

// TestServer_UnderLoadWithReloads: not one request fails.
func TestServer_UnderLoadWithReloads(t *testing.T) {
	d := loadTime(t)
	reloads := max(3, min(10, int(d.Seconds())))
	l := startLoad(t)
	old := l.s.pids()
	for n := range reloads {
		l.s.kill(syscall.SIGUSR2, "supervisor")
		l.s.renewed(old, "master-load", "worker-load-0", "worker-load-1", "worker-load-2", "worker-load-3")
		testutil.Poll(t, patience, fmt.Sprint("reload ", n, " is done"), func() bool { return len(l.s.table()) == 6 })
		old = l.s.pids()
		time.Sleep(time.Until(l.begin.Add(d * time.Duration(n+1) / time.Duration(reloads)))) // the rate is the subject
	}
	l.end(t)
	for _, r := range l.requests {
		if r.err != nil {
			t.Errorf("failed: %v", r)
		}
	}
	ledger := readLedger(t, l.ledger)
	t.Logf("%d reloads; %d workers served", reloads, len(byWorker(ledger)))
	checkTidy(l.s, 4)
	checkLeft(l.s, ledger)
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
	c, err := net.DialTimeout(network, address, testutil.Scaled(patience))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(testutil.Scaled(patience)))
	return c
}
