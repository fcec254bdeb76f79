// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package prefork

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/seed-cb702d51/tfork-go/internal/testutil"
	"github.com/seed-cb702d51/tfork-go/prefork/internal/names"
)

// Samba's tests of its prefork model, and where they are here. Ours look at the
// right pids, hold that nobody is there twice (the reference's check never looks
// at anything), and take elapsed times from a clock that does not wait.
//
//	prefork_restart
//	  ldap_master_restart         TestServer_MasterRestart
//	  ldap_worker_restart         TestServer_WorkerRestart
//	  ldap_all_workers_restart    TestServer_AllWorkersRestart
//	  rpc_master_restart          TestServer_InstanceZeroKeepsItsRole
//	  rpc_worker_zero_restart     TestServer_InstanceZeroKeepsItsRole
//	  rpc_all_workers_restart     TestServer_InstanceZeroKeepsItsRole
//	  master_restart_backoff      TestServer_Backoff/master-http,
//	                              supervise.TestGroup_BackoffToTheSecond
//	  worker_restart_backoff      TestServer_Backoff/worker-http-0, the same
//	smbcontrol_process
//	  inject_fault                TestPing_TheDeadDoNotAnswer
//	  sleep                       TestPing_TheBusyAnswerAtOnce
//	smbcontrol                    TestPing_EverybodyAnswers
//	samba_tool.processes          TestProcesses_OfNobody; tforkdemo's TestPs_Chooses
//	                              and its script prefork.txt
//	process_limits                of a model that is not here: a fork per connection
//
// What the reference does not test:
//
//	signal table                  TestServer_SignalTable, restart.TestDecide_ReferenceTable
//	exit 0                        TestServer_ExitZeroIsFinal
//	status not available          TestServer_StatusNotAvailable, TestServer_WaiterKilled
//	parent death at each level    TestServer_ParentDeath
//	SIGHUP                        TestServer_LogsAreOpenedAgain
//	children = 0                  TestServer_NoChildren
//	inhibit_pre_fork              TestServer_ServesAndStops, _Reload, _Recycling, _LimitsOfWorkers
//	accept                        package accept, TestServer_EveryKindOfSocket
//	both levels killed at once    TestServer_BothLevelsKilledAtOnce

// privateService has an endpoint in instance 0 alone, as the reference's rpc
// has for what must be in one process.
var privateService = testService(Service{
	Name: "private", Listen: []string{"tcp:127.0.0.1:0"}, Serve: serveTestHTTP,
	PostFork: func(t *Task) error {
		if t.Instance() != 0 {
			return nil
		}
		path := os.Getenv("TEST_PRIVATE")
		os.Remove(path) // of a predecessor that was killed
		ln, err := net.Listen("unix", path)
		if err != nil {
			return err
		}
		go func() {
			for {
				c, err := ln.Accept()
				if err != nil {
					return
				}
				fmt.Fprintf(c, "%d", os.Getpid())
				c.Close()
			}
		}()
		return nil
	},
})

func TestServer_InstanceZeroKeepsItsRole(t *testing.T) {
	forEachStrategy(t, func(t *testing.T) {
		endpoint := filepath.Join(t.TempDir(), "endpoint")
		t.Setenv("TEST_PRIVATE", endpoint)
		s := start(t, "children = 4\nbackoff-increment = 0", privateService)
		ask := func() (pid int) {
			t.Helper()
			c := dialWithin(t, "unix", endpoint)
			answer, err := io.ReadAll(c)
			if _, scanErr := fmt.Sscan(string(answer), &pid); err != nil || scanErr != nil {
				t.Errorf("the endpoint answers %q, %v", answer, err)
			}
			return pid
		}
		workers := []string{"worker-private-0", "worker-private-1", "worker-private-2", "worker-private-3"}
		for _, victims := range [][]string{nil, workers[:1], workers, {"master-private"}} {
			old := s.pids()
			s.kill(syscall.SIGTERM, victims...)
			switch len(victims) {
			case 1:
				s.renewed(old, victims[0])
				if victims[0] == workers[0] {
					s.same(old, append([]string{"master-private"}, workers[1:]...)...)
				} else {
					s.renewed(old, workers...)
				}
			case 4:
				s.renewed(old, workers...)
				s.same(old, "master-private")
			}
			s.unique()
			if got, want := ask(), s.pid(workers[0]); got != want {
				t.Errorf("after SIGTERM to %v: pid %d is at the endpoint, want instance 0, %d", victims, got, want)
			}
			s.see(privateService)
		}
	})
}

func TestPing_EverybodyAnswers(t *testing.T) {
	s := start(t, "children = 2", httpService, echoService, aloneService)
	for name, want := range s.pids() {
		if pid, err := Ping(s.dir, name); err != nil || pid != want {
			t.Errorf("%s: pid %d, %v; want pid %d", name, pid, err, want)
		}
	}
}

func TestPing_TheDeadDoNotAnswer(t *testing.T) {
	s := start(t, "children = 1\nbackoff-increment = \"1h\"\nmaximum-backoff = \"1h\"", httpService)
	for _, ended := range []bool{false, true} { // the second death has to wait an hour
		old := s.pids()
		s.get(httpService, "/signal?n=11")
		s.logged("ended", fmt.Sprint("child-pid=", old["prefork-worker-http-0"]), `outcome="signal 11"`)
		if !ended {
			s.renewed(old, "worker-http-0")
			continue
		}
		testutil.Poll(t, patience, "nobody has the name", func() bool {
			_, err := Ping(s.dir, "prefork-worker-http-0")
			return errors.Is(err, ErrNoProcess)
		})
	}
}

// TestPing_TheBusyAnswerAtOnce: requests do not keep a process from answering,
// as they do in the reference. Only one that stands still does not.
func TestPing_TheBusyAnswerAtOnce(t *testing.T) {
	s := start(t, "children = 1", httpService)
	busy := dialWithin(t, "tcp", s.addrs[httpService][0])
	fmt.Fprintf(busy, "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")
	testutil.Poll(t, patience, "it is busy", func() bool { return serving(s) })
	if _, err := Ping(s.dir, "prefork-worker-http-0"); err != nil {
		t.Error(err)
	}
	busy.Close()
	pid := s.pid("worker-http-0")
	s.kill(syscall.SIGSTOP, "worker-http-0")
	testutil.Poll(t, patience, "it does not answer, and is known by its pid", func() bool {
		got, err := Ping(s.dir, "prefork-worker-http-0")
		return errors.Is(err, ErrNoAnswer) && got == pid
	})
	if p := s.table()["prefork-worker-http-0"]; p.State != StateSilent || p.Pid != pid {
		t.Errorf("one that is stopped is in the table as %+v", p)
	}
	testutil.Kill(pid, syscall.SIGCONT)
}

// TestProcesses_WhoHasNotBegunHasNoPid: its starter's is not its own.
func TestProcesses_WhoHasNotBegunHasNoPid(t *testing.T) {
	testutil.NeedPeerCredentials(t)
	dir := filepath.Join(t.TempDir(), "run")
	d, err := names.Open(dir, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	for _, name := range []string{"prefork-master-echo", "prefork-worker-echo-0"} {
		socket, err := d.Bind(name) // both are this process's, and nobody answers
		if err != nil {
			t.Fatal(err)
		}
		defer socket.Close()
	}
	table, err := Processes(dir)
	if err != nil || len(table) != 2 {
		t.Fatalf("%v, %v", table, err)
	}
	if m, w := table[0], table[1]; m.Pid != os.Getpid() || m.State != StateSilent || w.Pid != 0 || w.State != StateStarting {
		t.Errorf("master %d, %s; worker %d, %s", m.Pid, m.State, w.Pid, w.State)
	}
}

func TestProcesses_OfNobody(t *testing.T) {
	testutil.NeedPeerCredentials(t)
	if table, err := Processes(t.TempDir()); err != nil || len(table) != 0 {
		t.Errorf("an empty directory: %v, %v", table, err)
	}
	if _, err := Processes(filepath.Join(t.TempDir(), "nowhere")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no directory: %v", err)
	}
	if _, err := Ping(t.TempDir(), "prefork-worker-http-0"); !errors.Is(err, ErrNoProcess) {
		t.Errorf("an unknown name: %v", err)
	}
}
