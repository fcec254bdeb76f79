// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package prefork

import (
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/seed-cb702d51/tfork-go/internal/testutil"
)

// leave makes a worker of the service start a process that outlives it, and
// returns its pid.
func (s *stage) leave(service, how string) int {
	s.t.Helper()
	answer, err := s.get(service, "/leave"+how)
	pid, _ := strconv.Atoi(answer)
	if err != nil || !testutil.Alive(pid) {
		s.t.Fatalf("no grandchild: %q, %v", answer, err)
	}
	return pid
}

func (s *stage) dead(what string, pids ...int) {
	s.t.Helper()
	for _, pid := range pids {
		if !testutil.PollFor(5*time.Second, func() bool { return !testutil.Alive(pid) }) {
			out, _ := exec.Command("sh", "-c", "ps -eo pid,ppid,pgid,sid,stat,args | grep -v ' \\['").CombinedOutput()
			s.t.Logf("pid %d: %s\n%s", pid, out, readFile(s.t, s.log))
			s.t.Fail()
		}
	}
}

func TestServer_GrandchildrenEndWithTheirWorker(t *testing.T) {
	forEachStrategy(t, func(t *testing.T) {
		s := start(t, "children = 1\nbackoff-increment = 0", httpService)
		var left []int
		for range 20 {
			left = append(left, s.leave(httpService, ""))
		}
		old := s.pids()
		s.kill(syscall.SIGKILL, "worker-http-0")
		s.renewed(old, "worker-http-0")
		left = append(left, s.leave(httpService, ""))
		s.stop()
		s.dead("a grandchild", left...)
	})
}

// TestServer_GrandchildrenEndWithTheirMaster, who would have ended them, with
// the supervisor, and with both at once.
func TestServer_GrandchildrenEndWithTheirMaster(t *testing.T) {
	forEachStrategy(t, func(t *testing.T) {
		s := start(t, "children = 2\nbackoff-increment = 0", httpService, aloneService)
		left := []int{s.leave(httpService, ""), s.leave(httpService, ""), s.leave(aloneService, "")}
		old := s.pids()
		s.kill(syscall.SIGKILL, "master-http", "master-alone")
		s.renewed(old, "master-http", "worker-http-0", "worker-http-1", "master-alone")
		s.dead("a grandchild", left...)

		// A worker that is killed with its master cannot clean up itself.
		left = []int{s.leave(httpService, ""), s.leave(httpService, "")}
		old = s.pids()
		s.kill(syscall.SIGKILL, "master-http", "worker-http-0", "worker-http-1")
		s.renewed(old, "master-http", "worker-http-0", "worker-http-1")
		s.dead("a grandchild", left...)

		left = []int{s.leave(httpService, ""), s.leave(httpService, ""), s.leave(aloneService, "")}
		s.kill(syscall.SIGKILL, "supervisor", "master-http")
		s.wait()
		s.dead("a grandchild", left...)
	})
}

// TestServer_GrandchildrenEndThoughTheMasterDiesBeforeItLooks: its worker has left
// as it was told to, because the supervisor was gone, and now its master dies too.
func TestServer_GrandchildrenEndThoughTheMasterDiesBeforeItLooks(t *testing.T) {
	forEachStrategy(t, func(t *testing.T) {
		s := start(t, "children = 1\nstop-timeout = \"1h\"", httpService)
		left, pids := s.leave(httpService, ""), s.pids()
		master, worker := pids["prefork-master-http"], pids["prefork-worker-http-0"]
		finish := s.hold(httpService)
		s.kill(syscall.SIGKILL, "supervisor")
		s.logged("leaving", "role=worker", "instance=0")
		testutil.Kill(master, syscall.SIGSTOP)
		finish()
		testutil.Poll(t, patience, "the worker has left", func() bool { return !testutil.Alive(worker) })
		testutil.Kill(master, syscall.SIGKILL)
		s.wait()
		s.dead("a grandchild", left)
	})
}

// hold makes a request that a worker has until finish is called.
func (s *stage) hold(service string) (finish func()) {
	s.t.Helper()
	resp, err := client.Get("http://" + s.addrs[service][0] + "/wait")
	if err != nil {
		s.t.Fatal(err)
	}
	return func() { resp.Body.Close() }
}

// TestChild_ForgetsWhoIsBuried: the number of a worker whose end its master has
// seen to may be a stranger's when the master dies.
func TestChild_ForgetsWhoIsBuried(t *testing.T) {
	c := &child{received: make(chan struct{})}
	close(c.received)
	var procs []*exec.Cmd
	for range 2 {
		cmd := exec.Command(testutil.TinyPause(t))
		cmd.SysProcAttr = attributes()
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		procs = append(procs, cmd)
		c.depute([]byte(strconv.Itoa(cmd.Process.Pid)))
	}
	for _, nonsense := range []string{"", "x", "0", "1", "-1"} {
		c.depute([]byte(nonsense))
		c.bury([]byte(nonsense))
	}
	c.bury([]byte(strconv.Itoa(procs[0].Process.Pid)))
	orphans := c.bequeath()
	if len(orphans) != 1 || orphans[0].process.Pid != procs[1].Process.Pid {
		t.Fatalf("%d orphans, want the second process alone", len(orphans))
	}
	hurry := make(chan struct{})
	close(hurry)
	lookAfter(orphans, time.Hour, hurry)
	if testutil.Alive(procs[1].Process.Pid) || !testutil.Alive(procs[0].Process.Pid) {
		t.Error("the wrong one was ended")
	}
	procs[0].Process.Kill()
	for _, cmd := range procs {
		cmd.Wait()
	}
}

// TestServer_WorkerThatDoesNotFollowItsMaster_IsKilled by the supervisor, after
// its time.
func TestServer_WorkerThatDoesNotFollowItsMaster_IsKilled(t *testing.T) {
	forEachStrategy(t, func(t *testing.T) {
		s := start(t, "children = 1\nbackoff-increment = 0\nstop-timeout = \"100ms\"", httpService)
		old := s.pids()
		left := s.leave(httpService, "")
		s.kill(syscall.SIGKILL, "master-http")
		// Not before: the kernel continues stopped processes that become orphans.
		s.logged("ended", "child=prefork-master-http", `outcome="signal 9"`)
		testutil.Kill(old["prefork-worker-http-0"], syscall.SIGSTOP)
		s.dead("the worker, and what it left,", old["prefork-worker-http-0"], left)
		s.renewed(old, "master-http", "worker-http-0")
		s.unique()
	})
}

// TestServer_CgroupsEndWithTheirWorker: not even a session of its own saves what
// a worker leaves behind.
func TestServer_CgroupsEndWithTheirWorker(t *testing.T) {
	base := testutil.Cgroup(t)
	forEachStrategy(t, func(t *testing.T) {
		t.Setenv("TEST_CGROUP", base)
		s := start(t, "children = 2\nbackoff-increment = 0", cagedService)
		both := []string{"worker-caged-0", "worker-caged-1"}
		for _, victims := range [][]string{both, both, {"master-caged"}, append([]string{"master-caged"}, both...), both} {
			left := s.leave(cagedService, "?setsid=1")
			old := s.pids()
			s.kill(syscall.SIGKILL, victims...)
			s.renewed(old, both...)
			s.dead("the grandchild", left)
		}
		s.stop()
		if left, _ := filepath.Glob(filepath.Join(base, "worker-*")); len(left) > 0 {
			t.Errorf("cgroups are left: %v", left)
		}
	})
}
