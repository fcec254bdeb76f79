// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package prefork

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-cb702d51/tfork-go/internal/testutil"
	"github.com/seed-cb702d51/tfork-go/prefork/internal/supervise"
)

func TestServer_AllWorkersRestart(t *testing.T) {
	forEachStrategy(t, func(t *testing.T) {
		s := start(t, "children = 4\nbackoff-increment = 0", httpService)
		old := s.pids()
		all := []string{"worker-http-0", "worker-http-1", "worker-http-2", "worker-http-3"}
		s.kill(syscall.SIGTERM, all...)
		s.renewed(old, all...)
		s.same(old, "master-http")
		s.unique()
		s.see(httpService)
	})
}

func init() {
	if os.Getenv("TEST_EARLY") != "" {
		SetLogHandler(earlySIGTERM)
	}
}

// earlySIGTERM is a log handler for the process whose title is in the file
// TEST_EARLY: it gets a SIGTERM once, when it has hardly begun.
func earlySIGTERM(w io.Writer) slog.Handler {
	path := os.Getenv("TEST_EARLY")
	title, err := os.ReadFile(path)
	if err == nil && strings.Contains(os.Args[0], string(title)) && os.Remove(path) == nil {
		testutil.Kill(os.Getpid(), syscall.SIGTERM)
	}
	return slog.NewTextHandler(w, nil)
}

// TestServer_EarlySIGTERM: a process that is told to leave before it has begun
// has a successor as any other.
func TestServer_EarlySIGTERM(t *testing.T) {
	for role, title := range map[string]string{"master": "pre-fork master", "worker": "pre-forked worker"} {
		t.Run(role, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "role")
			if err := os.WriteFile(path, []byte(title), 0o600); err != nil {
				t.Fatal(err)
			}
			t.Setenv("TEST_EARLY", path)
			s := start(t, "children = 1\nbackoff-increment = 0", httpService)
			s.logged("ended", "child=prefork-"+role+"-http", `outcome="exit status 127"`, "restart=true")
			s.renewed(nil, "master-http", "worker-http-0")
			s.see(httpService)
		})
	}
}

// TestServer_Backoff is what the log says; the tables are in the packages
// below, on a clock that does not wait.
func TestServer_Backoff(t *testing.T) {
	const settings = "children = 1\nbackoff-increment = \"50ms\"\nmaximum-backoff = \"100ms\""
	for _, who := range []string{"worker-http-0", "master-http"} {
		t.Run(who, func(t *testing.T) {
			s := start(t, settings, httpService)
			for _, want := range []string{"0", "0.05", "0.1", "0.1"} {
				old := s.pids()
				s.kill(syscall.SIGTERM, who)
				s.logged("ended", fmt.Sprint("child-pid=", old["prefork-"+who]), `outcome="exit status 127"`, "restart=true", "seconds="+want+"\n")
				s.renewed(old, who, "worker-http-0")
			}
			s.unique()
		})
	}
}

// waits returns the delays that the log tells of one place's deaths.
func waits(s *stage, name string) (list []float64) {
	for line := range strings.Lines(testutil.ReadFile(s.log)) {
		if strings.Contains(line, "msg=ended") && strings.Contains(line, "child=prefork-"+name+" ") {
			_, after, _ := strings.Cut(line, " seconds=")
			var seconds float64
			fmt.Sscan(after, &seconds)
			list = append(list, seconds)
		}
	}
	return list
}

// TestServer_BackoffStartsAgainAfterAGoodRun, and not before.
func TestServer_BackoffStartsAgainAfterAGoodRun(t *testing.T) {
	good := testutil.Scaled(2 * time.Second)
	for _, who := range []string{"worker-http-0", "master-http"} {
		t.Run(who, func(t *testing.T) {
			s := start(t, fmt.Sprintf("children = 1\nbackoff-increment = \"50ms\"\nmaximum-backoff = \"1s\"\nbackoff-reset = %q", good), httpService)
			die := func() {
				t.Helper()
				old := s.pids()
				s.kill(syscall.SIGKILL, who)
				s.renewed(old, who)
			}
			for range 3 {
				die()
			}
			testutil.Poll(t, good+patience, "the run is a good one", func() bool {
				p := s.table()["prefork-"+who]
				return p.Pid != 0 && time.Since(p.Started) > good
			})
			die()
			die()
			if diff := cmp.Diff([]float64{0, 0.05, 0.1, 0, 0.05}, waits(s, who)); diff != "" {
				t.Errorf("delays (-want +got):\n%s", diff)
			}
		})
	}
}

// TestServer_BackoffJitter: workers that die together do not come back together.
func TestServer_BackoffJitter(t *testing.T) {
	s := start(t, "children = 4\nbackoff-increment = \"100ms\"\nmaximum-backoff = \"100ms\"\nbackoff-jitter = 0.5", httpService)
	all := []string{"worker-http-0", "worker-http-1", "worker-http-2", "worker-http-3"}
	for range 2 {
		old := s.pids()
		s.kill(syscall.SIGKILL, all...)
		s.renewed(old, all...)
	}
	different := map[float64]bool{}
	for _, who := range all {
		got := waits(s, who)
		if len(got) != 2 || got[0] != 0 || got[1] < 0.1 || got[1] > 0.15 {
			t.Fatalf("%s waited %v, want 0 and 0.1 to 0.15 seconds", who, got)
		}
		different[got[1]] = true
	}
	if len(different) != len(all) {
		t.Errorf("%d workers waited for %d different times", len(all), len(different))
	}
}

// TestServer_SignalTable is spec §3.8 with real signals.
func TestServer_SignalTable(t *testing.T) {
	restarts := []syscall.Signal{
		syscall.SIGABRT, syscall.SIGBUS, syscall.SIGFPE, syscall.SIGILL, syscall.SIGSYS, syscall.SIGSEGV, syscall.SIGKILL,
	}
	final := []syscall.Signal{
		syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGPIPE, syscall.SIGALRM, syscall.SIGTRAP,
		syscall.SIGXCPU, syscall.SIGXFSZ, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGVTALRM, syscall.SIGPROF,
	}
	s := start(t, fmt.Sprintf("children = %d\nbackoff-increment = 0\nrlimit-core = 0", len(final)), httpService)
	for _, sig := range restarts {
		s.get(httpService, fmt.Sprintf("/signal?n=%d", sig))
		s.logged("ended", fmt.Sprintf(`outcome="signal %d"`, sig), "restart=true", "level=ERROR")
	}
	s.ready()
	testutil.Poll(t, patience, "all workers are back", func() bool { return len(s.table()) == len(final)+2 })
	for _, sig := range final {
		s.get(httpService, fmt.Sprintf("/signal?n=%d", sig))
		s.logged("ended", fmt.Sprintf(`outcome="signal %d"`, sig), "restart=false", "level=ERROR")
	}
	if err := s.wait(); err != nil { // no worker is left
		t.Errorf("the server ended with %v", err)
	}
	s.gone(nil)
}

func TestServer_ExitZeroIsFinal(t *testing.T) {
	s := start(t, "children = 2\nbackoff-increment = 0", httpService)
	s.get(httpService, "/exit?code=0")
	s.logged("ended", `outcome="exit status 0"`, "restart=false", "level=WARN")
	testutil.Poll(t, patience, "the pool has shrunk", func() bool { return len(s.table()) == 3 })
	s.see(httpService) // the other one serves on
}

// TestServer_ServiceWithoutWorkersIsDone: whether they were ready before they
// ended for good or not, and the others go on. The last one ends the server.
func TestServer_ServiceWithoutWorkersIsDone(t *testing.T) {
	crash := filepath.Join(t.TempDir(), "crash")
	t.Setenv("TEST_CRASH", crash)
	if err := os.WriteFile(crash, []byte("0"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := start(t, "backoff-increment = 0\nchildren = 1\n[service.crashing]\nchildren = 2", crashingService, httpService)
	s.logged("leaving", "role=master", "service=crashing", "no worker is left")
	s.logged("ended", "child=prefork-master-crashing", `outcome="exit status 0"`, "restart=false")
	// A reload starts it again, and here it stays.
	if err := os.Remove(crash); err != nil {
		t.Fatal(err)
	}
	s.kill(syscall.SIGUSR2, "supervisor")
	s.renewed(nil, "worker-crashing-0", "worker-crashing-1")
	s.logged("reload done")
	s.kill(syscall.SIGINT, "worker-crashing-0", "worker-crashing-1") // ends them for good
	s.see(httpService)
	s.get(httpService, "/exit?code=0")
	if err := s.wait(); err != nil {
		t.Errorf("the server ended with %v", err)
	}
	s.gone(nil)
}

// TestMaster_DoneAfterItHasReplacedAnother: until then its end would undo the
// reload.
func TestMaster_DoneAfterItHasReplacedAnother(t *testing.T) {
	p := &process{boot: &boot{Replaces: true}, log: slog.New(slog.DiscardHandler)}
	m := &master{process: p, wasReady: true}
	m.group = supervise.NewGroup(supervise.New(m.policy, nil), m)
	m.Notice(supervise.AllDown{}, nil)
	if m.leaving.Load() {
		t.Error("it leaves before it was promoted")
	}
	m.takeNames()
	if !m.leaving.Load() {
		t.Error("it stays without workers")
	}
}

// TestServer_TableTellsOfThePredecessor: how it ended, if nobody asked it to.
func TestServer_TableTellsOfThePredecessor(t *testing.T) {
	forEachStrategy(t, func(t *testing.T) {
		s := start(t, "children = 1\nbackoff-increment = 0", httpService)
		after := func(name, want string) {
			t.Helper()
			if p := s.table()["prefork-"+name]; p.After != want {
				t.Errorf("%s comes after %q, want %q", name, p.After, want)
			}
		}
		for _, name := range []string{"worker-http-0", "master-http"} {
			after(name, "")
			old := s.pids()
			s.kill(syscall.SIGKILL, name)
			s.renewed(old, name)
			after(name, "signal 9")
		}
		old := s.pids()
		s.kill(syscall.SIGUSR2, "supervisor")
		s.renewed(old, "worker-http-0", "master-http")
		after("worker-http-0", "")
		after("master-http", "")
	})
}

func TestServer_FatalExitCodeFailsTheService(t *testing.T) {
	s := start(t, "children = 2\nfatal-exit-codes = [3]", httpService, aloneService)
	s.get(httpService, "/exit?code=3")
	s.logged("service failed", "exit status 3")
	testutil.Poll(t, patience, "its processes are gone", func() bool { return len(s.table()) == 2 })
	s.see(aloneService) // the others go on
	if err := s.stop(); err == nil || err.Error() != "exit status 1" {
		t.Errorf("the server ended with %v", err)
	}
}

func TestServer_TooManyRestartsFailTheService(t *testing.T) {
	t.Setenv("TEST_EXIT_CODE", "9")
	s := prepare(t, "children = 2\nrestart-limit = 5\nbackoff-increment = 0")
	s.launch(exitService)
	// It was the only service: the server ends by itself.
	if err := s.wait(); err == nil || err.Error() != "exit status 1" {
		t.Errorf("the server ended with %v", err)
	}
	s.logged("the service has failed", "too many restarts")
	s.gone(nil)
}

func TestServer_ParentDeath(t *testing.T) {
	forEachStrategy(t, func(t *testing.T) {
		t.Run("master", func(t *testing.T) {
			s := start(t, "children = 2\nbackoff-increment = 0", httpService)
			old := s.pids()
			served := make(chan error)
			go func() { _, err := s.get(httpService, "/sleep?ms=300"); served <- err }()
			testutil.Poll(t, patience, "a worker serves", func() bool { return serving(s) })
			s.kill(syscall.SIGKILL, "master-http")
			if err := <-served; err != nil {
				t.Errorf("what was being served: %v", err)
			}
			s.renewed(old, "master-http", "worker-http-0", "worker-http-1")
			s.unique()
			s.see(httpService)
		})
		t.Run("supervisor", func(t *testing.T) {
			s := start(t, "children = 2", httpService, echoService)
			old := s.pids()
			s.kill(syscall.SIGKILL, "supervisor")
			s.wait()
			for name, pid := range old {
				testutil.Poll(t, patience, name+" leaves", func() bool { return !testutil.Alive(pid) })
			}
			if left := s.pids(); len(left) > 0 {
				t.Errorf("names that answer: %v", left)
			}
			s.launch(httpService)
			s.ready()
			s.see(httpService)
		})
	})
}

// serving tells whether a connection to the http service is open.
func serving(s *stage) bool {
	_, port, _ := strings.Cut(s.addrs[httpService][0], ":")
	var p int
	fmt.Sscan(port, &p)
	return strings.Contains(readFile(s.t, "/proc/net/tcp"), fmt.Sprintf("0100007F:%04X 0100007F:", p)) // an established one has a remote address
}

func TestServer_BothLevelsKilledAtOnce(t *testing.T) {
	s := start(t, "children = 2\nbackoff-increment = 0", httpService)
	old := s.pids()
	for _, name := range []string{"master-http", "worker-http-0", "worker-http-1"} {
		testutil.Kill(old["prefork-"+name], syscall.SIGKILL)
	}
	s.renewed(old, "master-http", "worker-http-0", "worker-http-1")
	s.unique()
	// All three levels: nothing is stale for the next start.
	old = s.pids()
	for _, sig := range []syscall.Signal{syscall.SIGSTOP, syscall.SIGKILL} { // or one would clean up after another
		for _, name := range []string{"worker-http-0", "worker-http-1", "master-http", "supervisor"} {
			testutil.Kill(old["prefork-"+name], sig)
		}
	}
	s.wait()
	names, _ := filepath.Glob(filepath.Join(s.dir, "prefork-*"))
	if len(names) != 4 {
		t.Errorf("a crash leaves %v: is this test about anything?", names)
	}
	if left := s.pids(); len(left) > 0 {
		t.Errorf("the dead answer: %v", left)
	}
	s.launch(httpService)
	s.ready()
	if got := len(s.table()); got != 4 {
		t.Errorf("%d processes after the new start", got)
	}
	s.renewed(old, "supervisor", "master-http", "worker-http-0", "worker-http-1")
}
