// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package prefork

import (
	"fmt"
	"strings"
	"syscall"
	"testing"

	"github.com/seed-cb702d51/tfork-go/internal/testutil"
	"github.com/seed-cb702d51/tfork-go/pidfd"
)

// startAsPID1 starts a server as the first process of a pid namespace.
func startAsPID1(t *testing.T, settings string, services ...string) *stage {
	t.Helper()
	s := prepare(t, settings)
	s.sys = testutil.PID1(t)
	s.env = []string{"TEST_PID1=1"}
	s.launch(services...)
	s.ready()
	return s
}

// TestServer_AsPID1: orphans are reaped, and nobody else; the ends of masters
// and workers stay true; signals do in a container what they do elsewhere.
func TestServer_AsPID1(t *testing.T) {
	forEachStrategy(t, func(t *testing.T) {
		s := startAsPID1(t, "children = 2\nbackoff-increment = 0", httpService, aloneService)
		for range 3 { // the worker's child outlives a shell in between
			if _, err := s.get(httpService, "/orphan"); err != nil {
				t.Fatal(err)
			}
		}
		reaps := pidfd.HaveSet() == nil
		if reaps {
			testutil.Poll(t, patience, "all orphans are reaped", func() bool {
				return strings.Count(readFile(t, s.log), "reaped an orphan") == 3
			})
			s.logged("reaped an orphan", "status=1792") // exit 7
		} else {
			s.logged("orphans are not reaped", "unsupported operation")
		}
		for path, outcome := range map[string]string{
			"/signal?n=11": `outcome="signal 11"`, "/signal?n=9": `outcome="signal 9"`, "/exit?code=9": `outcome="exit status 9"`,
		} {
			s.get(httpService, path)
			s.logged("ended", "child=prefork-worker-http", outcome, "restart=true")
			s.get(aloneService, path)
			s.logged("ended", "child=prefork-master-alone", outcome, "restart=true")
			s.ready()
		}
		old := s.pids()
		s.kill(syscall.SIGKILL, "master-http")
		s.renewed(old, "master-http", "worker-http-0", "worker-http-1")
		s.unique()
		s.see(httpService)
		if !reaps {
			return
		}
		// Each of its old workers was somebody's child until it became an orphan.
		testutil.Poll(t, patience, "no zombie is left", func() bool {
			for _, state := range testutil.ChildrenOf(s.cmd.Process.Pid) {
				if strings.HasPrefix(state, "Z") {
					return false
				}
			}
			return true
		})
		if got := strings.Count(readFile(t, s.log), "reaped an orphan"); got > 3+2*2 {
			t.Errorf("%d orphans were reaped: some had somebody to wait for them", got)
		}
	})
}

// TestServer_AsPID1_Signals: the kernel keeps those from the first process of a
// namespace that it does not catch.
func TestServer_AsPID1_Signals(t *testing.T) {
	s := startAsPID1(t, "children = 1\nbackoff-increment = 0", httpService)
	old := s.pids()
	s.cmd.Process.Signal(syscall.SIGHUP)
	for _, name := range []string{"master-http", "worker-http-0"} {
		s.logged("log opened again", fmt.Sprint("role=", strings.Split(name, "-")[0]))
	}
	s.cmd.Process.Signal(syscall.SIGTTIN)
	testutil.Poll(t, patience, "there is one more", func() bool { return s.table()["prefork-worker-http-1"].State == StateReady })
	s.cmd.Process.Signal(syscall.SIGUSR2)
	s.logged("reload done")
	s.renewed(old, "master-http", "worker-http-0")
	pids := s.pids()
	s.cmd.Process.Signal(syscall.SIGTERM)
	if err := s.wait(); err != nil {
		t.Errorf("the server ended with %v", err)
	}
	s.gone(pids)
}

// TestServer_AsPID1_TellsOfAFailedService by the container's exit code.
func TestServer_AsPID1_TellsOfAFailedService(t *testing.T) {
	s := startAsPID1(t, "children = 1\nfatal-exit-codes = [3]", httpService)
	s.get(httpService, "/exit?code=3")
	if err := s.wait(); err == nil || err.Error() != "exit status 1" {
		t.Errorf("the server ended with %v", err)
	}
}
