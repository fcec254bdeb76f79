// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package prefork

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-cb702d51/tfork-go/internal/testutil"
	"github.com/seed-cb702d51/tfork-go/prefork/config"
	"github.com/seed-cb702d51/tfork-go/prefork/internal/message"
	"github.com/seed-cb702d51/tfork-go/prefork/internal/restart"
	"github.com/seed-cb702d51/tfork-go/prefork/internal/supervise"
)

func readFile(t testing.TB, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestServer_Titles(t *testing.T) {
	s := start(t, "children = 2", echoService)
	for name, want := range map[string][2]string{
		"master-echo":   {"echo[master]", "task[echo] pre-fork master"},
		"worker-echo-1": {"echo(1)", "task[echo] pre-forked worker(1)"},
	} {
		pid := s.pid(name)
		comm := strings.TrimSpace(readFile(t, fmt.Sprintf("/proc/%d/comm", pid)))
		argv0, _, _ := strings.Cut(readFile(t, fmt.Sprintf("/proc/%d/cmdline", pid)), "\x00")
		if comm != want[0] || argv0 != want[1] {
			t.Errorf("%s is called %q, %q; want %q", name, comm, argv0, want)
		}
	}
}

func TestComm_KeepsWhatDiffers(t *testing.T) {
	for want, got := range map[string]string{
		"echo[master]":    comm("master", "echo", -1),
		"averylo[master]": comm("master", "averylongservice", -1),
		"averylongse(12)": comm("worker", "averylongservice", 12),
	} {
		if got != want {
			t.Errorf("comm = %q, want %q", got, want)
		}
	}
}

// TestServer_HookOrder is the same at the first start, after a worker's death
// and after a master's.
func TestServer_HookOrder(t *testing.T) {
	notes := filepath.Join(t.TempDir(), "order")
	if err := os.WriteFile(notes, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TEST_ORDER", notes)
	expect := func(want ...string) {
		t.Helper()
		var got []string
		testutil.PollFor(patience, func() bool {
			got = strings.Split(strings.TrimSpace(readFile(t, notes)), "\n")
			return len(got) >= len(want)
		})
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("hooks (-want +got):\n%s", diff)
		}
		os.Truncate(notes, 0)
	}
	s := start(t, "children = 1\nbackoff-increment = 0", orderService)
	worker := []string{"post-fork worker 0", "before-loop worker 0", "serve worker 0"}
	all := append([]string{"init master -1", "before-loop master -1"}, worker...)
	expect(all...)
	s.kill(syscall.SIGKILL, "worker-order-0")
	expect(worker...)
	s.kill(syscall.SIGTERM, "master-order")
	expect(all...)
}

func TestServer_LogsAreOpenedAgain(t *testing.T) {
	s := start(t, "children = 2", httpService)
	old := s.log + ".1"
	if err := os.Rename(s.log, old); err != nil {
		t.Fatal(err)
	}
	s.kill(syscall.SIGHUP, "supervisor")
	for _, name := range []string{"master-http", "worker-http-0", "worker-http-1"} {
		s.logged("log opened again", fmt.Sprintf("pid=%d", s.pid(name)))
	}
	if strings.Contains(readFile(t, old), "log opened again") {
		t.Error("somebody still writes to the old file")
	}
	// Each process obeys its own signal too, at once and alone.
	os.Rename(s.log, old)
	s.kill(syscall.SIGHUP, "worker-http-1")
	s.logged("log opened again", fmt.Sprintf("pid=%d", s.pid("worker-http-1")))
	if got := strings.Count(readFile(t, s.log), "log opened again"); got != 1 {
		t.Errorf("%d processes opened the log again, want 1", got)
	}
}

// TestServer_LogIsHandedDown to workers of another user, who may not open it.
func TestServer_LogIsHandedDown(t *testing.T) {
	identity := ""
	if os.Getuid() == 0 {
		identity = "user = \"65534\""
	}
	s := start(t, "children = 1\n"+identity, httpService)
	if err := os.Rename(s.log, s.log+".1"); err != nil {
		t.Fatal(err)
	}
	s.kill(syscall.SIGHUP, "supervisor")
	s.logged("log opened again", "role=worker")
	// A master opens it for its own workers too.
	if err := os.Rename(s.log, s.log+".2"); err != nil {
		t.Fatal(err)
	}
	s.kill(syscall.SIGHUP, "master-http")
	s.logged("log opened again", "role=worker")
	if old := readFile(t, s.log+".1") + readFile(t, s.log+".2"); strings.Contains(old, "stays in use") {
		t.Error("somebody was left with the old file")
	}
}

func TestServer_NoChildren(t *testing.T) {
	s := start(t, "children = 0", httpService)
	if s.logLine("level=WARN", "nobody serves") == "" {
		t.Error("no warning")
	}
	answer := make(chan error)
	go func() { _, err := s.get(httpService, "/"); answer <- err }()
	testutil.Poll(t, patience, "the connection is in the queue", func() bool { return serving(s) })
	select {
	case err := <-answer:
		t.Fatalf("somebody answered: %v", err)
	default:
	}
	// The queue is the socket's, not a worker's: the first one serves it.
	s.kill(syscall.SIGTTIN, "supervisor")
	if err := <-answer; err != nil {
		t.Error(err)
	}
}

func TestServer_Scale(t *testing.T) {
	s := start(t, "children = 2\nbackoff-increment = 0", httpService, echoService)
	count := func(want int, service string) {
		t.Helper()
		testutil.Poll(t, patience, fmt.Sprintf("%d workers of %s", want, service), func() bool {
			n := 0
			for name, p := range s.table() {
				if p.State == StateReady && strings.HasPrefix(name, "prefork-worker-"+service+"-") {
					n++
				}
			}
			return n == want && s.table()["prefork-master-"+service].Children == want
		})
	}
	old := s.pids()
	s.kill(syscall.SIGTTIN, "supervisor")
	count(3, "http")
	count(3, "echo")
	s.kill(syscall.SIGTTOU, "master-http")
	count(2, "http")
	if err := TellScale(s.dir, "http", -1); err != nil {
		t.Error(err)
	}
	count(1, "http")
	count(3, "echo")
	s.same(old, "worker-http-0", "worker-echo-0", "worker-echo-1")
	// It outlives the master.
	s.kill(syscall.SIGKILL, "master-http")
	s.renewed(old, "master-http")
	count(1, "http")
	if err := TellScale(s.dir, "http", -9); err != nil {
		t.Error(err)
	}
	count(0, "http")
}

// idle is an owner that cannot start anything.
type idle struct{}

func (idle) Start(supervise.Spawn) (supervise.Process, error) { return nil, errors.New("nobody") }
func (idle) Promote(int, supervise.Process)                   {}
func (idle) Notice(supervise.Action, supervise.Process)       {}

// mute is a channel's end that takes everything and never waits.
type mute struct{ stream }

func (mute) Write(b []byte) (int, error)      { return len(b), nil }
func (mute) SetWriteDeadline(time.Time) error { return nil }

// TestMaster_ScalesInOrder: signals come in a burst, and the last one counts.
func TestMaster_ScalesInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		policy := supervise.Policy{Limit: &restart.Window{}, Backoff: restart.Backoff{Increment: time.Hour, Maximum: time.Hour}}
		m := &master{
			process: &process{boot: &boot{}, channel: &channel{conn: mute{}}, log: slog.New(slog.DiscardHandler)},
			group:   supervise.NewGroup(supervise.New(func(int) supervise.Policy { return policy }, rand.Float64), idle{}),
		}
		go m.group.Run(0)
		const burst = 200
		m.group.Do(func() {
			for range burst {
				m.scale(1)
			}
		})
		synctest.Wait()
		m.group.Do(func() {
			if got := m.group.Count(); got != burst {
				t.Errorf("%d workers, want %d", got, burst)
			}
		})
		m.group.Post(supervise.Stop{})
		<-m.group.Done()
	})
}

// TestTree_OnlyTheHolderIsScaled: what a master says after it was replaced would
// be the number of workers of the next one to start.
func TestTree_OnlyTheHolderIsScaled(t *testing.T) {
	service, err := lookup(echoService)
	if err != nil {
		t.Fatal(err)
	}
	tr := &tree{server: &Server{services: []*Service{service}}, config: &config.Config{}, scaled: map[string]int{}}
	policy := supervise.Policy{Limit: &restart.Window{}}
	tr.group = supervise.NewGroup(supervise.New(func(int) supervise.Policy { return policy }, rand.Float64), idle{})
	go tr.group.Run(0)
	tr.heard(&child{order: order{boot: boot{Service: echoService}}}, message.Text(message.Count, "1"))
	tr.group.Do(func() {
		if len(tr.scaled) > 0 {
			t.Errorf("scaled by %v", tr.scaled)
		}
	})
	tr.group.Post(supervise.Stop{})
	<-tr.group.Done()
}

// TestTree_ScalingWithoutAMasterIsLogged: it waits for its restart, or is done.
func TestTree_ScalingWithoutAMasterIsLogged(t *testing.T) {
	service, err := lookup(echoService)
	if err != nil {
		t.Fatal(err)
	}
	var log lines
	s := &Server{services: []*Service{service}, log: slog.New(slog.NewTextHandler(&log, nil))}
	tr := &tree{server: s}
	policy := supervise.Policy{Limit: &restart.Window{}}
	tr.group = supervise.NewGroup(supervise.New(func(int) supervise.Policy { return policy }, rand.Float64), idle{})
	for _, name := range []string{"", echoService} {
		tr.do(command{kind: message.Scale, service: name, delta: 1})
	}
	tr.do(command{kind: message.Scale, service: "other", delta: 1})
	if got := strings.Count(log.String(), "cannot scale now"); got != 2 {
		t.Errorf("said %d times, want 2:\n%s", got, log.String())
	}
}

func TestServer_Commands(t *testing.T) {
	s := start(t, "children = 1", httpService)
	if pid, err := Ping(s.dir, "prefork-worker-http-0"); err != nil || pid != s.pid("worker-http-0") {
		t.Errorf("Ping: %d, %v", pid, err)
	}
	if err := Tell(s.dir, CommandReopen); err != nil {
		t.Error(err)
	}
	s.logged("log opened again", "role=worker")
	if err := TellScale(s.dir, "nobody", 1); err == nil {
		t.Error("scaling a service that is not there")
	}
	pids := s.pids()
	if err := Tell(s.dir, CommandStop); err != nil {
		t.Error(err)
	}
	if err := s.wait(); err != nil {
		t.Error(err)
	}
	s.gone(pids)
	if err := Tell(s.dir, CommandStop); err == nil {
		t.Error("a server that is gone obeys")
	}
}

// TestServer_StubbornWorkersAfterSIGTERM: their master has not told them to
// leave and sets no limit; they have their own.
func TestServer_StubbornWorkersAfterSIGTERM(t *testing.T) {
	s := start(t, "children = 1\nstop-timeout = \"200ms\"\nbackoff-increment = 0", stubbornService)
	old := s.pids()
	s.kill(syscall.SIGTERM, "worker-stubborn-0")
	s.renewed(old, "worker-stubborn-0")
	s.logged("could not finish in time", "reason=SIGTERM")
	s.logged("ended", `outcome="exit status 127"`, "restart=true")
}

// TestServer_StartFailureIsADeath: it backs off and tries again, and nobody
// above gives up.
func TestServer_StartFailureIsADeath(t *testing.T) {
	enough := filepath.Join(t.TempDir(), "enough")
	t.Setenv("TEST_STARVED", enough)
	s := prepare(t, "children = 2\nbackoff-increment = \"20ms\"\nmaximum-backoff = \"40ms\"")
	s.launch(starvedService)
	s.logged("cannot start a worker", "too many open files", "seconds=0\n")
	s.logged("cannot start a worker", "too many open files", "seconds=0.02\n")
	s.logged("cannot start a worker", "too many open files", "seconds=0.04\n")
	master := s.pid("master-starved")
	if err := os.WriteFile(enough, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s.ready()
	if got := s.pid("master-starved"); got != master {
		t.Errorf("the master was replaced")
	}
}

func TestServer_SecondSignalKills(t *testing.T) {
	s := start(t, "children = 2\nstop-timeout = \"1h\"", stubbornService)
	pids := s.pids()
	s.kill(syscall.SIGINT, "supervisor")
	s.logged("stopping")
	s.kill(syscall.SIGINT, "supervisor")
	if err := s.wait(); err != nil {
		t.Error(err)
	}
	s.gone(pids)
}

func TestServer_TwoOnOneDirectory(t *testing.T) {
	s := start(t, "children = 1", httpService)
	second := exec.Command(testutil.Exe(), s.config, httpService)
	second.Env = testutil.HelperEnv(serverProcess)
	out, err := second.CombinedOutput()
	if err == nil || !bytes.Contains(out, []byte("in use")) || !bytes.Contains(out, []byte(strconv.Itoa(s.pid("supervisor")))) {
		t.Errorf("the second: %v, %s", err, out)
	}
	s.see(httpService)
}
