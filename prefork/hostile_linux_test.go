// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package prefork

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-cb702d51/tfork-go/internal/testutil"
)

// The tests of this file are the table of outcomes in the package's doc.go.

// watched are settings with a heartbeat that a busy or emulated machine keeps.
func watched(more string) string {
	return fmt.Sprintf("children = 2\nbackoff-increment = 0\nheartbeat-timeout = %q\nabort-grace = %q\n%s",
		testutil.Scaled(3*time.Second), testutil.Scaled(time.Second), more)
}

func TestServer_HungWorker_GivesItsStackAndIsReplaced(t *testing.T) {
	eachStrategyAtOnce(t, func(t *testing.T, env string) {
		s := startIn(t, env, watched(""), httpService)
		old := s.pids()
		s.get(httpService, "/hang")
		s.logged("SIGABRT", "no sign of life")
		s.logged("ended", `outcome="exit status 2"`, "restart=true") // what Go makes of SIGABRT
		for _, path := range []string{s.log, s.log + ".stderr"} {
			if text := readFile(t, path); !strings.Contains(text, "SIGABRT: abort") || !strings.Contains(text, "goroutine ") {
				t.Errorf("no stack in %s", filepath.Base(path))
			}
		}
		for _, name := range []string{"worker-http-0", "worker-http-1"} {
			if s.logLine("ended", fmt.Sprint("child-pid=", old["prefork-"+name])) != "" {
				s.renewed(old, name)
			}
		}
		s.see(httpService)
	})
}

func TestServer_HungWorkerThatIgnoresSIGABRT_IsKilled(t *testing.T) {
	eachStrategyAtOnce(t, func(t *testing.T, env string) {
		s := startIn(t, env, watched(""), httpService)
		old := s.pids()
		s.kill(syscall.SIGSTOP, "worker-http-1")
		s.logged("SIGABRT", "no sign of life")
		s.logged("killing", "did not end by SIGABRT")
		s.logged("ended", fmt.Sprint("child-pid=", old["prefork-worker-http-1"]), `outcome="signal 9"`, "restart=true")
		s.renewed(old, "worker-http-1")
		s.same(old, "worker-http-0", "master-http")
	})
}

// TestServer_PauseOfAllAbortsNobody: as docker pause or a stopped virtual machine
// do. When all go on, everybody's time to a sign of life is over.
func TestServer_PauseOfAllAbortsNobody(t *testing.T) {
	timeout := testutil.Scaled(4 * time.Second) // a busy machine has a third of it after the pause
	s := start(t, fmt.Sprintf("children = 2\nbackoff-increment = 0\nheartbeat-timeout = %q\nabort-grace = \"1s\"", timeout), httpService, echoService)
	old := s.pids()
	passes := func(d time.Duration) {
		begin := time.Now()
		testutil.Poll(t, d+patience, "time passes", func() bool { return time.Since(begin) > d })
	}
	signal := func(sig syscall.Signal) {
		for name, pid := range old {
			if err := testutil.Kill(pid, sig); err != nil {
				t.Fatalf("%s to %s: %v", sig, name, err)
			}
		}
	}
	signal(syscall.SIGSTOP)
	passes(timeout * 5 / 4)
	signal(syscall.SIGCONT)
	passes(timeout / 2) // whoever is taken for hung is by then
	for name, pid := range s.pids() {
		if pid != old[name] {
			t.Errorf("%s has pid %d, want the old %d", name, pid, old[name])
		}
	}
	if line := s.logLine("SIGABRT"); line != "" {
		t.Errorf("aborted: %s", line)
	}
	s.kill(syscall.SIGSTOP, "worker-http-1") // that one alone is hung
	s.logged("SIGABRT", "child=prefork-worker-http-1", "no sign of life")
	s.renewed(old, "worker-http-1")
	s.same(old, "worker-http-0", "master-http", "worker-echo-0", "worker-echo-1", "master-echo")
}

func TestServer_HungMaster_IsReplacedWithItsWorkers(t *testing.T) {
	eachStrategyAtOnce(t, func(t *testing.T, env string) {
		s := startIn(t, env, watched(""), httpService, aloneService)
		old := s.pids()
		s.kill(syscall.SIGSTOP, "master-http")
		s.renewed(old, "master-http", "worker-http-0", "worker-http-1")
		s.same(old, "master-alone")
		s.unique()
		for name, pid := range old {
			if strings.HasSuffix(name, "-http") || strings.Contains(name, "-http-") {
				testutil.Poll(t, patience, name+" is gone", func() bool { return !testutil.Exists(pid) })
			}
		}
	})
}

// TestServer_WorkerThatNeverGetsReady_IsReplaced: it hangs before it serves.
func TestServer_WorkerThatNeverGetsReady_IsReplaced(t *testing.T) {
	closed := gate(t)
	closed(true)
	s := prepare(t, fmt.Sprintf("children = 1\nready-timeout = %q\nabort-grace = %q", testutil.Scaled(time.Second), testutil.Scaled(time.Second)))
	s.launch(gatedService)
	s.logged("SIGABRT", "neither ready nor a sign of life in time")
	closed(false)
	s.ready()
	s.see(gatedService)
}

// TestServer_MasterThatHangsInItsHooks_IsReplaced, heartbeat or not.
func TestServer_MasterThatHangsInItsHooks_IsReplaced(t *testing.T) {
	for _, service := range []string{stuckService, stuckAloneService} {
		t.Run(service, func(t *testing.T) {
			closed := gate(t)
			closed(true)
			s := prepare(t, fmt.Sprintf("children = 1\nbackoff-increment = 0\nheartbeat-timeout = 0\nready-timeout = %q", testutil.Scaled(2*time.Second)))
			s.launch(service)
			s.logged("SIGABRT", "neither ready nor a sign of life in time", "role=supervisor")
			closed(false)
			s.ready()
			s.see(service)
		})
	}
}

// TestServer_CrashLoopOfAllWorkers_BacksOffAndRecovers: nobody else is
// disturbed, and when the cause is gone all is well again.
func TestServer_CrashLoopOfAllWorkers_BacksOffAndRecovers(t *testing.T) {
	forEachStrategy(t, func(t *testing.T) {
		cause := filepath.Join(t.TempDir(), "cause")
		t.Setenv("TEST_CRASH", cause)
		if err := os.WriteFile(cause, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		s := prepare(t, "children = 4\nbackoff-increment = \"50ms\"\nmaximum-backoff = \"100ms\"")
		s.launch(crashingService, aloneService)
		for n := range 4 {
			for _, wait := range []string{"0", "0.05", "0.1"} {
				s.logged("ended", fmt.Sprintf("child=prefork-worker-crashing-%d ", n), `outcome="signal 11"`, "restart=true", "seconds="+wait+"\n")
			}
			s.see(aloneService)
		}
		master := s.pid("master-crashing")
		if p := s.table()["prefork-supervisor"]; p.State != StateStarting {
			t.Errorf("the server is %s, and no worker has ever served", p.State)
		}
		os.Remove(cause)
		s.ready()
		if got := s.pid("master-crashing"); got != master {
			t.Error("the master was replaced")
		}
		s.unique()
		s.see(crashingService)
	})
}

func TestServer_CrashLoopWithRestartLimit_FailsTheServiceOnly(t *testing.T) {
	cause := filepath.Join(t.TempDir(), "cause")
	t.Setenv("TEST_CRASH", cause)
	s := start(t, "children = 2\nrestart-limit = 5\nbackoff-increment = 0", crashingService, httpService)
	old := s.pids()
	if err := os.WriteFile(cause, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s.kill(syscall.SIGKILL, "worker-crashing-0")
	s.logged("service failed", "service=crashing", "too many restarts")
	testutil.Poll(t, patience, "its processes are gone", func() bool { return len(s.table()) == 4 })
	s.same(old, "supervisor", "master-http", "worker-http-0", "worker-http-1")
	s.see(httpService)
	// A reload is another chance.
	os.Remove(cause)
	s.kill(syscall.SIGUSR2, "supervisor")
	s.renewed(old, "master-crashing", "worker-crashing-0", "worker-crashing-1", "worker-http-1")
	s.see(crashingService)
	if err := s.stop(); err != nil {
		t.Errorf("the server ended with %v, although all was well again", err)
	}
}

// TestServer_ForkBomb_EndsWithItsWorker: the bomb is bounded by the worker's
// limit of processes, and leaves with the worker's process group.
func TestServer_ForkBomb_EndsWithItsWorker(t *testing.T) {
	uid, identity, others := os.Getuid(), "", 128 // threads of the server itself
	if uid == 0 {                                 // whom no limit of processes binds
		uid, others = 64723, 0
		identity = fmt.Sprintf("user = \"%d\"\n", uid)
	}
	const room = 64
	limit := tasksOf(uid) + others + room
	forEachStrategy(t, func(t *testing.T) {
		// A worker that starts needs room for its threads: zombies of the last bomb count.
		testutil.Poll(t, patience, "there is room", func() bool { return tasksOf(uid) <= limit-others/2-room })
		s := start(t, fmt.Sprintf("backoff-increment = \"20ms\"\n[service.http]\nchildren = 1\n%srlimit-nproc = %d\n[service.alone]\n", identity, limit), httpService, aloneService)
		old := s.pids()
		s.get(httpService, "/bomb")
		group := old["prefork-worker-http-0"]
		testutil.Poll(t, patience, "the bomb has gone off", func() bool {
			// The shells say that they cannot fork; the worker may have ended for want of threads.
			return strings.Contains(strings.ToLower(testutil.ReadFile(s.log+".stderr")), "fork") || !testutil.Alive(group)
		})
		if n := tasksOf(uid); n > limit+room {
			t.Fatalf("%d tasks of the user, limit %d", n, limit)
		}
		s.see(aloneService)
		testutil.Kill(group, syscall.SIGKILL)
		s.renewed(old, "worker-http-0")
		testutil.Poll(t, patience, "nothing of the bomb is left", func() bool { return membersOf(group) == 0 })
		s.see(httpService)
		s.same(old, "master-http")
	})
}

// membersOf counts the live processes of a process group.
func membersOf(group int) (n int) {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		_, stat, _ := strings.Cut(testutil.ReadFile(path), ") ")
		if f := strings.Fields(stat); len(f) > 2 && f[2] == fmt.Sprint(group) && f[0] != "Z" && f[0] != "X" {
			n++
		}
	}
	return n
}

// tasksOf counts what RLIMIT_NPROC counts: the threads of a user.
func tasksOf(uid int) (n int) {
	statuses, _ := filepath.Glob("/proc/[0-9]*/status")
	for _, path := range statuses {
		status := testutil.ReadFile(path)
		if strings.Contains(status, fmt.Sprintf("\nUid:\t%d\t", uid)) {
			var threads int
			_, after, _ := strings.Cut(status, "\nThreads:")
			fmt.Sscan(after, &threads)
			n += threads
		}
	}
	return n
}

func TestServer_WorkerThatIgnoresSIGTERM_IsKilledAtTheStop(t *testing.T) {
	forEachStrategy(t, func(t *testing.T) {
		s := start(t, "children = 2\nstop-timeout = \"200ms\"\nbackoff-increment = 0", deafService)
		s.kill(syscall.SIGTERM, "worker-deaf-0")
		begin := time.Now()
		if err := s.stop(); err != nil {
			t.Error(err)
		}
		if took := time.Since(begin); took < 200*time.Millisecond {
			t.Errorf("stopped after %v, before the time of the workers was over", took)
		}
		s.logged("killing", "did not stop in time")
	})
}

func TestServer_DirectoryFullAtTheStart_IsRefused(t *testing.T) {
	s := prepare(t, "children = 1")
	fill(t, s.dir, "nr_inodes=1,mode=700")
	cmd := exec.Command(s.exe, s.config, httpService)
	cmd.Env = testutil.HelperEnv(serverProcess)
	out, err := cmd.CombinedOutput()
	if err == nil || !bytes.Contains(out, []byte("runtime directory")) || !bytes.Contains(out, []byte("no space left on device")) {
		t.Errorf("the server: %v, %s", err, out)
	}
}

// TestServer_DirectoryFullLater_ServesWithoutNames: names are lost, service is
// not.
func TestServer_DirectoryFullLater_ServesWithoutNames(t *testing.T) {
	forEachStrategy(t, func(t *testing.T) {
		s := prepare(t, "children = 3\nbackoff-increment = 0")
		fill(t, s.dir, "nr_inodes=5,mode=700") // the root, the lock, the supervisor and two more
		s.launch(httpService)
		s.ready()
		s.logged("a process starts without a name", "no space left on device")
		served := map[int]int{}
		testutil.Poll(t, patience, "all workers serve", func() bool {
			got := s.see(httpService)
			served[got.Instance] = got.Pid
			return len(served) == 3
		})
		for _, pid := range served {
			testutil.Kill(pid, syscall.SIGKILL)
		}
		testutil.Poll(t, patience, "they are replaced", func() bool {
			got := s.see(httpService)
			return got.Pid != 0 && got.Pid != served[got.Instance]
		})
		if err := s.stop(); err != nil {
			t.Error(err)
		}
		for _, pid := range served {
			if testutil.Alive(pid) {
				t.Errorf("pid %d still lives", pid)
			}
		}
	})
}

// fill makes dir a file system with next to no room.
func fill(t *testing.T, dir, options string) {
	t.Helper()
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
		t.Skipf("cannot mount a small file system: %v", err)
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
}

// TestServer_DirectoryOfACrashedRun_IsRefusedWhileSomebodyLives: who does not
// leave is named; when it has gone the directory is free.
func TestServer_DirectoryOfACrashedRun_IsRefusedWhileSomebodyLives(t *testing.T) {
	s := start(t, "children = 1\nstop-timeout = \"1h\"", deafService)
	old := s.pids()
	s.kill(syscall.SIGKILL, "supervisor")
	s.wait()
	s.configure("children = 1\nstop-timeout = \"100ms\"") // how long the next one is patient
	second := exec.Command(s.exe, s.config, deafService)
	second.Env = testutil.HelperEnv(serverProcess)
	out, err := second.CombinedOutput()
	master := fmt.Appendf(nil, "prefork-master-deaf still lives there (pid %d)", old["prefork-master-deaf"])
	if err == nil || !bytes.Contains(out, []byte("in use")) || !bytes.Contains(out, master) {
		t.Errorf("the second server: %v, %s", err, out)
	}
	for _, name := range []string{"prefork-master-deaf", "prefork-worker-deaf-0"} {
		testutil.Kill(old[name], syscall.SIGKILL)
		testutil.Poll(t, patience, name+" is gone", func() bool { return !testutil.Alive(old[name]) })
	}
	s.launch(deafService)
	s.ready()
	s.unique()
}
