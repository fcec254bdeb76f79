// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package prefork

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/seed-cb702d51/tfork-go/internal/testutil"
	"github.com/seed-cb702d51/tfork-go/prefork/config"
)

// ownProgram makes the server run from a copy of the test binary, which a test
// can replace.
func (s *stage) ownProgram() {
	s.t.Helper()
	s.exe = filepath.Join(s.t.TempDir(), "program")
	s.replace(readFile(s.t, testutil.Exe()))
}

// replace puts another file in the program's place, as an installer does.
func (s *stage) replace(content string) {
	s.t.Helper()
	next := s.exe + ".new"
	if err := os.WriteFile(next, []byte(content), 0o755); err != nil {
		s.t.Fatal(err)
	}
	if err := os.Rename(next, s.exe); err != nil {
		s.t.Fatal(err)
	}
}

// programOf returns what a process runs: a file is known by its number.
func programOf(t testing.TB, pid int) uint64 {
	t.Helper()
	return inode(t, fmt.Sprintf("/proc/%d/exe", pid))
}

func inode(t testing.TB, path string) uint64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Sys().(*syscall.Stat_t).Ino
}

// TestServer_Reload takes over the program and the configuration on disk.
func TestServer_Reload(t *testing.T) {
	forEachStrategy(t, func(t *testing.T) {
		s := prepare(t, "children = 2\nbackoff-increment = 0")
		s.ownProgram()
		s.launch(httpService, aloneService)
		s.ready()
		old := s.pids()
		s.replace(readFile(t, s.exe))
		s.configure("children = 3\nbackoff-increment = 0")
		s.kill(syscall.SIGUSR2, "supervisor")
		s.logged("reload done")
		s.renewed(old, "master-http", "worker-http-0", "worker-http-1", "worker-http-2", "master-alone")
		s.same(old, "supervisor")
		testutil.Poll(t, patience, "the old ones have left", func() bool { return len(s.table()) == 6 })
		s.unique()
		want := inode(t, s.exe)
		for name, pid := range s.pids() {
			if got := programOf(t, pid); (got == want) == (name == "prefork-supervisor") {
				t.Errorf("%s runs the wrong program", name)
			}
		}
		// A later restart runs the program of the reload, whatever is on disk.
		s.replace("#!/bin/sh\nexit 1\n")
		old = s.pids()
		s.kill(syscall.SIGKILL, "master-http")
		s.renewed(old, "master-http", "worker-http-0", "worker-http-2")
		if programOf(t, s.pid("master-http")) != want || programOf(t, s.pid("worker-http-0")) != want {
			t.Error("a restart runs another program")
		}
		s.see(httpService)
		s.see(aloneService)
	})
}

// TestServer_ReloadRollsBack: whatever is wrong with the new program or the
// new configuration, the old processes stay as they are.
func TestServer_ReloadRollsBack(t *testing.T) {
	const good = "children = 2\nbackoff-increment = 0\nready-timeout = \"5s\""
	tests := []struct {
		name  string
		spoil func(s *stage)
		want  string
	}{
		{"no program", func(s *stage) { os.Remove(s.exe) }, "no such file"},
		{"not a program", func(s *stage) { s.replace("rubbish") }, "exec format error"},
		{"a program that ends", func(s *stage) { s.replace("#!/bin/sh\nexit 7\n") }, "the new process ended"},
		{"a broken configuration", func(s *stage) { s.configure("childern = 2") }, "did you mean children?"},
		{"settings for nobody", func(s *stage) { s.configure(good + "\n[service.htpp]\nchildren = 3") }, `no service \"htpp\"`},
		{"workers that cannot start", func(s *stage) { s.configure(good + "\nrlimit-nofile = 4") }, "reload failed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := prepare(t, good)
			s.ownProgram()
			s.launch(httpService, echoService)
			s.ready()
			old := s.pids()
			tt.spoil(s)
			if err := Tell(s.dir, CommandReload); err != nil {
				t.Fatal(err)
			}
			s.logged("reload failed: the old processes stay")
			if !strings.Contains(readFile(t, s.log), tt.want) {
				t.Errorf("the log does not say %q", tt.want)
			}
			testutil.Poll(t, patience, "the new ones have left", func() bool { return len(s.table()) == len(old) })
			s.same(old, "supervisor", "master-http", "master-echo", "worker-http-0", "worker-http-1", "worker-echo-0", "worker-echo-1")
			s.see(httpService)
			// The old program goes on restarting.
			s.kill(syscall.SIGKILL, "worker-http-1", "master-echo")
			s.renewed(old, "worker-http-1", "master-echo", "worker-echo-0")
			s.unique()
		})
	}
}

// TestServer_ReloadThatFails_IsNoFailureOfTheService: it was the new program that
// gave up, and the old one serves.
func TestServer_ReloadThatFails_IsNoFailureOfTheService(t *testing.T) {
	cause := filepath.Join(t.TempDir(), "cause")
	t.Setenv("TEST_CRASH", cause)
	s := start(t, "children = 1\nfatal-exit-codes = [3]", crashingService)
	old := s.pids()
	if err := os.WriteFile(cause, []byte("3"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.kill(syscall.SIGUSR2, "supervisor")
	s.logged("the service has failed", "exit status 3")
	s.logged("reload failed: the old processes stay")
	s.same(old, "master-crashing", "worker-crashing-0")
	s.see(crashingService)
	if err := s.stop(); err != nil {
		t.Errorf("the server ended with %v, although nothing but a reload failed", err)
	}
}

// TestServer_ReloadThatHangs_StopsNobody: the configuration comes from the
// program's own code.
func TestServer_ReloadThatHangs_StopsNobody(t *testing.T) {
	testutil.NeedPeerCredentials(t)
	st := config.Default()
	st.Children, st.BackoffIncrement = 1, 0
	asked, answer := make(chan struct{}), make(chan error)
	dir := filepath.Join(t.TempDir(), "run")
	s, err := New(Options{
		Services: []string{httpService},
		Config:   config.Config{Defaults: &st, RuntimeDir: dir},
		Reload: func() (config.Config, error) {
			close(asked)
			return config.Config{}, <-answer
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- s.Run(t.Context()) }()
	<-s.Ready()
	s.Reload()
	<-asked
	old, err := Ping(dir, "prefork-master-http")
	if err != nil {
		t.Fatal(err)
	}
	testutil.Kill(old, syscall.SIGKILL)
	testutil.Poll(t, patience, "the master is renewed", func() bool {
		pid, err := Ping(dir, "prefork-master-http")
		return err == nil && pid != old
	})
	s.Stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
	answer <- errors.New("too late")
}
