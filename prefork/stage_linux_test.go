// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package prefork

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-cb702d51/tfork-go/internal/sandbox"
	"github.com/seed-cb702d51/tfork-go/internal/testutil"
	"github.com/seed-cb702d51/tfork-go/prefork/config"
)

// patience is how long anything may take that should be over at once.
const patience = 30 * time.Second

// hello is what a server process prints when it is ready.
type hello struct{ Addrs map[string][]string }

// serverProcess is a supervisor in a process of its own. Its arguments are the
// configuration file and the services.
const serverProcess = "prefork server"

var _ = testutil.Helper(serverProcess, func(args []string) int {
	read := func() (config.Config, error) {
		b, err := os.ReadFile(args[0])
		if err != nil {
			return config.Config{}, err
		}
		return config.Parse(b)
	}
	enterSandbox(args)
	if os.Getenv("TEST_PID1") != "" {
		testutil.MustBePID1()
	}
	if n, err := strconv.ParseUint(os.Getenv("TEST_HARD_NOFILE"), 10, 64); err == nil {
		unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: n, Max: n})
	}
	c, err := read()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	s, err := New(Options{Config: c, Services: args[1:], Reload: read})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	h := hello{Addrs: map[string][]string{}}
	for _, name := range args[1:] {
		for _, a := range s.Addrs(name) {
			h.Addrs[name] = append(h.Addrs[name], a.String())
		}
	}
	json.NewEncoder(os.Stdout).Encode(h)
	if err := s.Run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
})

// enterSandbox starts the server again below a filter of system calls, if
// TEST_SANDBOX names one.
func enterSandbox(args []string) {
	profile, ok := os.LookupEnv("TEST_SANDBOX")
	if !ok {
		return
	}
	os.Unsetenv("TEST_SANDBOX")
	os.Setenv("TFORK_TEST_HELPER", serverProcess)
	fmt.Fprintln(os.Stderr, sandbox.Exec(profile, append([]string{testutil.Exe()}, args...)))
	os.Exit(3)
}

// stage is a running server, seen from outside.
type stage struct {
	t      testing.TB
	cmd    *exec.Cmd
	exe    string
	config string // path
	dir    string // runtime directory
	log    string // path
	addrs  map[string][]string
	done   chan error

	// What only some tests set before launch.
	extra []*os.File
	env   []string
	sys   *syscall.SysProcAttr
}

// prepare writes the configuration and names the places.
func prepare(t testing.TB, settings string) *stage {
	t.Helper()
	testutil.NeedPeerCredentials(t)
	base := t.TempDir()
	s := &stage{
		t: t, exe: testutil.Exe(), config: filepath.Join(base, "config.toml"),
		dir: filepath.Join(base, "run"), log: filepath.Join(base, "log"),
	}
	s.configure(settings)
	return s
}

func (s *stage) configure(settings string) {
	s.t.Helper()
	head := fmt.Sprintf("runtime-dir = %q\nlog-file = %q\n", s.dir, s.log)
	if err := os.WriteFile(s.config, []byte(head+settings), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// start starts the server and waits until all its processes are ready.
func start(t testing.TB, settings string, services ...string) *stage {
	t.Helper()
	s := prepare(t, settings)
	s.launch(services...)
	s.ready()
	return s
}

func (s *stage) launch(services ...string) {
	s.t.Helper()
	s.cmd = exec.Command(s.exe, append([]string{s.config}, services...)...)
	s.cmd.Env = testutil.HelperEnv(serverProcess, s.env...)
	s.cmd.ExtraFiles, s.cmd.SysProcAttr = s.extra, s.sys
	stderr, err := os.OpenFile(s.log+".stderr", os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		s.t.Fatal(err)
	}
	defer stderr.Close()
	s.cmd.Stderr = stderr // stacks of hung workers are many lines
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.done = make(chan error, 1)
	s.t.Cleanup(s.end)
	line, err := bufio.NewReader(out).ReadBytes('\n')
	var h hello
	if err == nil {
		err = json.Unmarshal(line, &h)
	}
	if err != nil {
		s.cmd.Wait()
		s.t.Fatalf("the server did not start: %v", err)
	}
	s.addrs = h.Addrs
	go func() { s.done <- s.cmd.Wait() }()
}

// ready waits until the supervisor says so.
func (s *stage) ready() {
	s.t.Helper()
	testutil.Poll(s.t, patience, "the server is ready", func() bool {
		p, ok := s.table()["prefork-supervisor"]
		return ok && p.State == StateReady
	})
}

// end stops the server, and holds that nothing is left of it.
func (s *stage) end() {
	if s.cmd == nil || s.cmd.ProcessState != nil {
		return
	}
	if s.t.Failed() {
		if log, err := os.ReadFile(s.log); err == nil {
			stderr, _ := os.ReadFile(s.log + ".stderr")
			s.t.Logf("log:\n%s\nstandard error:\n%.2000s", log[max(0, len(log)-20_000):], stderr)
		}
	}
	if err := s.stop(); err != nil {
		s.t.Errorf("the server ended with %v", err)
	}
}

// stop ends the server with SIGTERM and returns what came of it.
func (s *stage) stop() error {
	s.t.Helper()
	pids := s.pids()
	s.cmd.Process.Signal(syscall.SIGTERM)
	err := s.wait()
	s.gone(pids)
	return err
}

func (s *stage) wait() error {
	s.t.Helper()
	select {
	case err := <-s.done:
		return err
	case <-time.After(stopsWithin()):
		s.cmd.Process.Kill()
		<-s.done
		return errors.New("it did not stop")
	}
}

// stopsWithin is how long a server with the default settings may take to stop, if
// it is up to the last who does what: what happens there is the better message.
func stopsWithin() time.Duration {
	d := config.Default()
	return d.StopTimeout + 2*d.AbortGrace + 2*margin + testutil.Scaled(patience)
}

// gone holds that processes and names are gone.
func (s *stage) gone(pids map[string]int) {
	s.t.Helper()
	for name, pid := range pids {
		if !testutil.PollFor(patience, func() bool { return !testutil.Alive(pid) }) {
			s.t.Errorf("%s (pid %d) still lives", name, pid)
		}
	}
	if left, err := filepath.Glob(filepath.Join(s.dir, "prefork-*")); err != nil || len(left) > 0 {
		s.t.Errorf("names left: %v", left)
	}
}

// table is the process table by name.
func (s *stage) table() map[string]Process {
	list, err := Processes(s.dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		s.t.Errorf("process table: %v", err)
	}
	table := map[string]Process{}
	for _, p := range list {
		table[p.Name] = p
	}
	return table
}

func (s *stage) pids() map[string]int {
	pids := map[string]int{}
	for name, p := range s.table() {
		pids[name] = p.Pid
	}
	return pids
}

func (s *stage) pid(name string) int {
	s.t.Helper()
	p, ok := s.table()["prefork-"+name]
	if !ok {
		s.t.Fatalf("no process is called %s: %v", name, s.table())
	}
	return p.Pid
}

// renewed waits until all these processes are others than in old, and ready.
func (s *stage) renewed(old map[string]int, names ...string) {
	s.t.Helper()
	for _, name := range names {
		testutil.Poll(s.t, patience, name+" is renewed", func() bool {
			p, ok := s.table()["prefork-"+name]
			return ok && p.Pid != old["prefork-"+name] && p.State == StateReady
		})
	}
}

// same holds that these processes are still those of old.
func (s *stage) same(old map[string]int, names ...string) {
	s.t.Helper()
	for _, name := range names {
		if got, want := s.pid(name), old["prefork-"+name]; got != want {
			s.t.Errorf("%s has pid %d, want the old %d", name, got, want)
		}
	}
}

// unique holds that no place is held twice and no pid has two names. While names
// are exchanged one process may be found at both: a real duplicate stays.
func (s *stage) unique() {
	s.t.Helper()
	var duplicate string
	if !testutil.PollFor(patience, func() bool {
		duplicate = s.duplicate()
		return duplicate == ""
	}) {
		s.t.Error(duplicate)
	}
}

// duplicate describes one, or is empty.
func (s *stage) duplicate() string {
	byPid := map[int]string{}
	for name, p := range s.table() {
		if p.Pid == 0 {
			continue // it has not begun
		}
		if other := byPid[p.Pid]; other != "" {
			return fmt.Sprintf("pid %d is both %s and %s", p.Pid, name, other)
		}
		byPid[p.Pid] = name
	}
	return ""
}

// kill signals processes that are all there before the first signal. One may be
// gone when its turn comes, because of those before it.
func (s *stage) kill(sig syscall.Signal, names ...string) {
	s.t.Helper()
	pids := s.pids()
	for n, name := range names {
		err := testutil.Kill(pids["prefork-"+name], sig)
		if err != nil && (n == 0 || !errors.Is(err, syscall.ESRCH)) {
			s.t.Fatalf("kill %s: %v", name, err)
		}
	}
}

// client takes a new connection for each request.
var client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: testutil.Scaled(patience)}

// get asks the first address of a service, and returns the answer.
func (s *stage) get(service, path string) (string, error) {
	resp, err := client.Get("http://" + s.addrs[service][0] + path)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = errors.New(resp.Status + ": " + string(b))
	}
	return string(b), err
}

// see asks who serves.
func (s *stage) see(service string) (got seen) {
	s.t.Helper()
	b, err := s.get(service, "/")
	if err == nil {
		err = json.Unmarshal([]byte(b), &got)
	}
	if err != nil {
		s.t.Errorf("%s: %v", service, err)
	}
	return got
}

// logged waits until the log has a line with all these words.
func (s *stage) logged(words ...string) {
	s.t.Helper()
	if !testutil.PollFor(patience, func() bool { return s.logLine(words...) != "" }) {
		s.t.Fatalf("the log has no line with %q", words)
	}
}

func (s *stage) logLine(words ...string) string {
	log, _ := os.ReadFile(s.log)
	for line := range strings.Lines(string(log)) {
		found := true
		for _, w := range words {
			found = found && strings.Contains(line, w)
		}
		if found {
			return line
		}
	}
	return ""
}
