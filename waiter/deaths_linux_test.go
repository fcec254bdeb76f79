// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package waiter

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-cb702d51/tfork-go/internal/testutil"
)

func TestWaiterKilled_CallerHearsAtOnce(t *testing.T) {
	testutil.ForEachSIGCHLD(t, func(t *testing.T) {
		p := newPool(t)
		var workers []*live
		for range 3 {
			workers = append(workers, spawnLive(t, p, nil))
		}
		waiter := workers[0].WaiterPid()
		testutil.Kill(waiter, unix.SIGKILL)
		for _, w := range workers {
			if status, err := within(t, w.Worker); err != ErrGone || status != 0 {
				t.Errorf("status %#x, %v; want ErrGone", status, err)
			}
			if err := w.Signal(unix.SIGTERM); err != ErrGone {
				t.Errorf("Signal: %v, want ErrGone", err)
			}
			if !testutil.Alive(w.Pid()) {
				t.Errorf("worker %d died with its waiter", w.Pid())
			}
			if w.pidfd >= 0 {
				unix.PidfdSendSignal(w.pidfd, unix.SIGKILL, nil, 0)
				if n, err := poll(w.pidfd, unix.POLLIN); n != 1 {
					t.Errorf("the pidfd does not tell of the end: %d, %v", n, err)
				}
			}
		}
		next := spawnLive(t, p, nil)
		if next.WaiterPid() == waiter {
			t.Error("the dead waiter serves on")
		}
		testutil.Poll(t, soon, "the dead waiter is reaped", func() bool { return !testutil.Exists(waiter) })
	})
}

func poll(fd int, events int16) (n int, err error) {
	for {
		n, err = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: events}}, int(soon.Milliseconds()))
		if err != unix.EINTR {
			return n, err
		}
	}
}

// TestWaiterKilled_AtRandomMoments kills it under load: every result is true
// or an error of its own, and the next start works.
func TestWaiterKilled_AtRandomMoments(t *testing.T) {
	p := newPool(t)
	tiny := testutil.Tiny(t, 42)
	dev := null(t)
	stop := make(chan struct{})
	var load sync.WaitGroup
	var ok, gone int
	var mu sync.Mutex
	for range 4 {
		load.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				w, err := p.Spawn(&Request{Path: tiny, Args: []string{"tiny"}, Files: []uintptr{dev, dev, dev}})
				if err == nil {
					status, e := within(t, w)
					if err = e; err == nil && status.ExitStatus() != 42 {
						t.Errorf("status %#x", status)
					}
				}
				mu.Lock()
				switch {
				case err == nil:
					ok++
				case errors.Is(err, ErrGone):
					gone++
				default:
					// Four waiters in a row were killed before they served.
					var start *startError
					if !errors.As(err, &start) && !errors.Is(err, errClosed) {
						t.Errorf("neither a result nor ErrGone: %v", err)
					}
				}
				mu.Unlock()
			}
		})
	}
	for range 60 {
		time.Sleep(time.Duration(rand.IntN(20_000)) * time.Microsecond) // the random moment
		p.mu.Lock()
		c := p.shared
		p.mu.Unlock()
		if c != nil {
			c.proc.Kill()
		}
	}
	close(stop)
	load.Wait()
	t.Logf("%d true results, %d times ErrGone", ok, gone)
	spawnLive(t, p, nil)
}

func TestWaiterStopped_IsContinued(t *testing.T) {
	p := newPool(t)
	w := spawnLive(t, p, nil)
	testutil.Kill(w.WaiterPid(), unix.SIGSTOP)
	testutil.Poll(t, soon, "the waiter is stopped", func() bool { return testutil.StateOf(w.WaiterPid()) == "T" })
	other := spawnLive(t, p, nil) // would hang otherwise
	if other.WaiterPid() != w.WaiterPid() {
		t.Errorf("another waiter: %d, was %d", other.WaiterPid(), w.WaiterPid())
	}
}

// TestWaiterStopped_EndsAllTheSame: nobody asks it anything any more, and it has no
// worker; it must be continued to see that it is to end.
func TestWaiterStopped_EndsAllTheSame(t *testing.T) {
	p := newPool(t)
	w := spawnLive(t, p, nil)
	w.stdin.Close()
	within(t, w.Worker)
	pid := w.WaiterPid()
	testutil.Kill(pid, unix.SIGSTOP)
	testutil.Poll(t, soon, "the waiter is stopped", func() bool { return testutil.StateOf(pid) == "T" })
	p.retire(w.conn)
	if !testutil.PollFor(soon, func() bool { return !testutil.Alive(pid) }) {
		t.Errorf("the waiter is in state %q", testutil.StateOf(pid))
		testutil.Kill(pid, unix.SIGCONT)
	}
}

func TestWorkerStopped_IsNoEnd(t *testing.T) {
	w := spawnLive(t, &pool, nil)
	w.Signal(unix.SIGSTOP)
	testutil.Poll(t, soon, "the worker is stopped", func() bool { return testutil.StateOf(w.Pid()) == "T" })
	other, err := pool.Spawn(shell("exit 0"))
	if err != nil {
		t.Fatal(err)
	}
	within(t, other) // the waiter has looked at all its workers meanwhile
	w.Signal(unix.SIGCONT)
	testutil.Poll(t, soon, "the worker goes on", func() bool { return testutil.StateOf(w.Pid()) == "S" })
	select {
	case <-w.Done():
		t.Error("stopping and continuing was taken for an end")
	default:
	}
	if status, err := w.end(); err != nil || status != 3<<8 {
		t.Errorf("status %#x, %v", status, err)
	}
}

// caller is a process that starts workers and then waits for its own end.
// Its arguments are worker scripts, each after its death signal.
var caller = testutil.Helper("caller", func(args []string) int {
	var p Pool
	for i := 0; i < len(args); i += 2 {
		sig, _ := strconv.Atoi(args[i])
		r := shell(args[i+1])
		r.Dedicated = os.Getenv("DEDICATED") != ""
		r.Sys = &syscall.SysProcAttr{Pdeathsig: syscall.Signal(sig)}
		w, err := p.Spawn(r)
		if err != nil {
			fmt.Println(err)
			return 1
		}
		fmt.Println(w.WaiterPid(), w.Pid())
	}
	if os.Getenv("EXIT") != "" {
		return 0
	}
	io.Copy(io.Discard, os.Stdin)
	return 0
})

// startCaller starts one and returns the processes that it has started. Its
// group is its own, for tests that signal all of it.
func startCaller(t *testing.T, env []string, args ...string) (c *exec.Cmd, waiters, workers []int) {
	t.Helper()
	c = exec.Command(testutil.Exe(), args...)
	c.Env = testutil.HelperEnv(caller, env...)
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	stdin, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stdin.Close() })
	stdout, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stdout)
	for range len(args) / 2 {
		lines.Scan()
		var waiter, worker int
		if _, err := fmt.Sscan(lines.Text(), &waiter, &worker); err != nil {
			t.Fatalf("the caller says %q", lines.Text())
		}
		waiters, workers = append(waiters, waiter), append(workers, worker)
	}
	return c, waiters, workers
}

func gone(pid int) func() bool { return func() bool { return !testutil.Alive(pid) } }

func TestCallerDies_WorkersLiveOn(t *testing.T) {
	for _, tt := range []struct {
		name string
		env  []string
		sig  syscall.Signal
	}{
		{"killed", nil, unix.SIGKILL},
		{"exits normally", []string{"EXIT=1"}, 0},
		{"dedicated, killed", []string{"DEDICATED=1"}, unix.SIGKILL},
		{"dedicated, exits normally", []string{"DEDICATED=1", "EXIT=1"}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			// A shell that has just forked still has its trap, and would lose SIGTERM.
			const trapped = "trap 'kill -9 $!; exit 0' TERM; sleep 1000 & wait"
			c, waiters, workers := startCaller(t, tt.env, "0", trapped, "9", "exec sleep 1000", "15", trapped)
			if tt.sig != 0 {
				c.Process.Signal(tt.sig)
			}
			c.Wait()
			testutil.Poll(t, soon, "SIGKILL arrives", gone(workers[1]))
			testutil.Poll(t, soon, "SIGTERM arrives", gone(workers[2]))
			if !testutil.Alive(workers[0]) || !testutil.Alive(waiters[0]) {
				t.Error("a worker that asked for nothing, or its waiter, died with the caller")
			}
			testutil.Kill(workers[0], unix.SIGTERM)
			for i := range waiters {
				testutil.Poll(t, soon, "worker and waiter are gone", func() bool {
					return gone(workers[i])() && gone(waiters[i])()
				})
			}
		})
	}
}

// TestGroupSignals_WaiterSurvives: what a terminal, a shell or an init system sends
// to a whole process group does to the workers what it does by default, and nothing
// to the waiter.
func TestGroupSignals_WaiterSurvives(t *testing.T) {
	for _, sig := range []syscall.Signal{
		unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGTERM, unix.SIGUSR1, unix.SIGUSR2, unix.SIGALRM, unix.SIGPIPE,
		unix.SIGTSTP, unix.SIGTTIN, unix.SIGTTOU, unix.SIGABRT, unix.SIGSEGV, unix.SIGXCPU, unix.SIGPROF, unix.SIGURG, 40,
	} {
		t.Run(unix.SignalName(sig), func(t *testing.T) {
			t.Parallel()
			p := newPool(t)
			w, err := p.Spawn(shell("exec sleep 1000"))
			if err != nil {
				t.Fatal(err)
			}
			testutil.Kill(w.Pid(), sig)
			testutil.Kill(w.WaiterPid(), sig)
			goesOn(t, p, w.WaiterPid())
			want := sig
			if sig == unix.SIGTSTP || sig == unix.SIGTTIN || sig == unix.SIGTTOU || sig == unix.SIGURG {
				testutil.Kill(w.Pid(), unix.SIGKILL)
				want = unix.SIGKILL
			}
			if status, err := within(t, w); err != nil || status.Signal() != want {
				t.Errorf("status %#x, %v; want signal %d", status, err, want)
			}
			p.CloseIdle()
			testutil.Poll(t, soon, "the waiter leaves after its workers", gone(w.WaiterPid()))
		})
	}
}

// goesOn makes starts one after the other through a waiter that was just sent a
// signal: it cannot get through them without noticing, and must not even stop.
func goesOn(t *testing.T, p *Pool, waiter int) {
	t.Helper()
	all := make(chan struct{})
	go func() {
		defer close(all)
		for range 10 {
			w, err := p.Spawn(shell("exit 0"))
			if err != nil || w.WaiterPid() != waiter {
				t.Errorf("the waiter does not serve any more (%v)", err)
				return
			}
			if _, _, err := w.Result(); err != nil {
				t.Error(err)
			}
		}
	}()
	stopped := false
	testutil.Poll(t, soon, "starts through the waiter", func() bool {
		stopped = stopped || testutil.StateOf(waiter) == "T"
		select {
		case <-all:
			return true
		default:
			return false
		}
	})
	if stopped {
		t.Error("the waiter was stopped")
	}
}

// TestCallerKilled_AtRandomMoments leaves nothing behind.
func TestCallerKilled_AtRandomMoments(t *testing.T) {
	for range 20 {
		c := exec.Command(testutil.Exe())
		c.Env = testutil.HelperEnv(busyCaller)
		c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(rand.IntN(20_000)) * time.Microsecond) // the random moment
		c.Process.Kill()
		c.Wait()
		group := c.Process.Pid
		testutil.Poll(t, soon, "nobody is left in the caller's group", func() bool {
			return unix.Kill(-group, 0) == unix.ESRCH || onlyZombies(group)
		})
	}
}

// onlyZombies tells whether what is left of a group waits for init to take it.
func onlyZombies(group int) bool {
	out, _ := exec.Command("ps", "-eo", "pgid=,stat=").Output()
	for line := range strings.Lines(string(out)) {
		f := strings.Fields(line)
		if len(f) == 2 && f[0] == strconv.Itoa(group) && !strings.HasPrefix(f[1], "Z") {
			return false
		}
	}
	return true
}

var busyCaller = testutil.Helper("caller that starts and starts", func([]string) int {
	var p Pool
	for {
		for range 4 {
			go p.Spawn(shell("exit 0"))
		}
		if w, err := p.Spawn(shell("exit 0")); err == nil {
			w.Result()
		}
	}
})

// TestCallerThatNeverCollects keeps its results apart, and none is lost.
func TestCallerThatNeverCollects(t *testing.T) {
	tiny := testutil.Tiny(t, 9)
	dev := null(t)
	var workers []*Worker
	for range 300 {
		w, err := pool.Spawn(&Request{Path: tiny, Args: []string{"tiny"}, Files: []uintptr{dev, dev, dev}})
		if err != nil {
			t.Fatal(err)
		}
		workers = append(workers, w)
	}
	for _, w := range workers {
		if status, err := within(t, w); err != nil || status.ExitStatus() != 9 {
			t.Errorf("status %#x, %v", status, err)
		}
	}
}
