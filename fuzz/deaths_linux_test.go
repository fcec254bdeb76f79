// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package fuzz

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-cb702d51/tfork-go/internal/testutil"
	"github.com/seed-cb702d51/tfork-go/tfork"
)

// needWaiter skips the test where there is no waiter.
func needWaiter(t *testing.T) {
	t.Helper()
	if r, err := tfork.Probe(); err != nil {
		t.Fatal(err)
	} else if r.Waiter != nil {
		t.Skip("no waiter here: ", r.Waiter)
	}
}

// through returns a command that is started through the shared waiter.
func through(name string, arg ...string) *tfork.Cmd {
	c := tfork.Command(name, arg...)
	c.Strategy = tfork.Waiter
	return c
}

// kill is kill(2) for one process. The special numbers, of which -1 means
// everything there is, are bugs of ours.
func kill(pid int, sig syscall.Signal) error {
	if pid <= 1 {
		panic(fmt.Sprint("kill of process ", pid))
	}
	return testutil.Kill(pid, sig)
}

// children returns our children without a look at all processes of the host,
// of which there may be many; where the kernel does not offer that, with one.
func children() (pids []int) {
	lists, _ := filepath.Glob("/proc/self/task/[0-9]*/children")
	for _, list := range lists {
		b, _ := os.ReadFile(list)
		for _, f := range strings.Fields(string(b)) {
			pids = append(pids, number(f))
		}
	}
	if len(lists) == 0 {
		for pid := range testutil.Children() {
			pids = append(pids, pid)
		}
	}
	return pids
}

// waitersOf returns the waiters of a process: its children of that name.
func waitersOf(pid int) (pids []int) {
	for child, what := range testutil.ChildrenOf(pid) {
		if strings.HasSuffix(what, " tfork-waiter") && !strings.HasPrefix(what, "Z") {
			pids = append(pids, child)
		}
	}
	return pids
}

// tally counts how statuses came out, of workers whose waiters are killed.
type tally struct {
	right, lost, wrong, refused, odd atomic.Int64
	kills                            killLog
}

func (n *tally) String() string {
	return fmt.Sprintf("%d true, %d lost, %d false, %d starts refused", n.right.Load(), n.lost.Load(), n.wrong.Load(), n.refused.Load())
}

// loadCommand is a worker that ends with the given code after the time.
func loadCommand(code int, after time.Duration) *tfork.Cmd {
	return through("/bin/sh", "-c", fmt.Sprintf("sleep %.3f; exit %d", after.Seconds(), code))
}

// one runs a worker and counts its outcome.
func (n *tally) one() {
	code, after := rand.IntN(256), time.Duration(rand.IntN(20))*time.Millisecond
	c := loadCommand(code, after)
	begin := time.Now()
	if err := c.Start(); err != nil {
		// The waiter was killed during the start: it cannot be told whether
		// the worker was started.
		n.refused.Add(1)
		if !n.kills.refusal(err, begin) {
			n.odd.Add(1)
			fmt.Println("Start, and no waiter was killed:", err)
		}
		return
	}
	st, err := c.Process.Status(true)
	switch {
	case errors.Is(err, tfork.ErrLost) && n.kills.during(begin, time.Now()) == 0:
		n.odd.Add(1)
		fmt.Println("no waiter was killed:", err)
	case errors.Is(err, tfork.ErrLost):
		if n.lost.Add(1) < 5 {
			fmt.Println(err)
		}
	case err != nil || st.ExitStatus() != code:
		n.wrong.Add(1)
		fmt.Printf("status %v, %v, want %d\n", st, err, code)
	default:
		n.right.Add(1)
	}
}

// kills is how often something is killed in a test.
func kills() int {
	if os.Getenv(longKey) != "" {
		return 200
	}
	return 48
}

// helperTime is how long a helper may take: so much less than the time in which a
// package must be done on the slowest machine that this one is told of.
func helperTime() time.Duration { return min(testutil.Scaled(12*patience), 4*time.Minute) }

// underInit runs a helper and reaps all that it leaves behind, at once, as an
// init should. (Some containers' PID 1 reaps every few seconds only, and the
// kernel tells the status of an orphan no sooner.) It returns what the helper
// wrote, and its exit status.
func underInit(t *testing.T, name string, arg ...string) (string, unix.WaitStatus) {
	t.Helper()
	testutil.NeedSubreaper(t)
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	defer unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
	waitForNobody(t)
	out, err := os.Create(filepath.Join(t.TempDir(), "output"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	p, err := os.StartProcess(testutil.Exe(), append([]string{"helper"}, arg...), &os.ProcAttr{
		Env: testutil.HelperEnv(name), Files: []*os.File{nil, out, out}, Sys: &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		t.Fatal(err)
	}
	pid := p.Pid
	p.Release() // reaped below, with all others
	// Helpers that may hang end themselves before, and say where.
	defer time.AfterFunc(helperTime(), func() {
		for _, left := range members(map[int]bool{pid: true}) {
			kill(left, unix.SIGKILL)
		}
	}).Stop()
	var ws, end unix.WaitStatus
	for {
		got, err := unix.Wait4(-1, &ws, 0, nil)
		if err == unix.ECHILD {
			break // the helper has ended, and everything that it left
		}
		if got == pid {
			end = ws
		}
	}
	text, _ := os.ReadFile(out.Name())
	return string(text), end
}

// waitForNobody returns when this process has no child. A waiter has ended only
// after its last worker: one that an earlier test released may just be dying.
func waitForNobody(t *testing.T) {
	t.Helper()
	if !testutil.PollFor(patience, func() bool { tfork.CloseIdle(); return len(children()) == 0 }) {
		t.Fatal("children of an earlier test:", children())
	}
}

// killLoad is how many workers there are at once: a waiter that is killed breaks
// off so many at most.
const killLoad = 8

// waiterKiller is a caller whose waiters are killed: it prints its tally, and
// what went wrong.
var waiterKiller = testutil.Helper("waiter killer", func(args []string) int {
	var n tally
	stop := make(chan struct{})
	var load sync.WaitGroup
	for range killLoad {
		load.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					n.one()
				}
			}
		})
	}
	time.AfterFunc(testutil.Scaled(3*patience), func() { panic(fmt.Sprintf("the load does not end, or no worker gets as far as a status: %v", &n)) })
	rounds, _ := strconv.Atoi(args[0])
	killed := 0
	const life = 50 * time.Millisecond
	for most := testutil.Scaled(life); killed < rounds || n.right.Load() == 0; {
		time.Sleep(rand.N(most)) // the moment is random
		killed += n.kills.kill("/bin/true", children()...)
		if n.right.Load() == 0 {
			most += testutil.Scaled(life) / 10 // on a slow machine no worker ends in that time
		}
	}
	close(stop)
	load.Wait()
	n.kills.settled.Wait()
	fmt.Printf("%d waiters killed: %v\n", killed, &n)
	r, err := tfork.Probe()
	switch {
	case err != nil, n.wrong.Load() > 0, n.odd.Load() > 0, exitInfoKept(r) && n.lost.Load() > 0:
		return 1
	case n.refused.Load()+n.lost.Load() > int64(killed*killLoad):
		fmt.Println("more was broken off than the killed waiters had")
		return 1
	}
	if err := through("/bin/true").Run(); err != nil {
		fmt.Println("next start:", err)
		return 1
	}
	tfork.CloseIdle()
	if left := testutil.Children(); len(left) > 0 {
		fmt.Println("left behind:", left)
		return 1
	}
	return 0
})

// TestDeath_WaiterKilledUnderLoad: no hang, no wrong status, each true or
// ErrLost (with exit info: true), no waiter breaks anything off that nobody has
// killed, the next Start works, nothing is left.
func TestDeath_WaiterKilledUnderLoad(t *testing.T) {
	needWaiter(t)
	defer watchdog("workers of killed waiters").Stop()
	out, end := underInit(t, waiterKiller, strconv.Itoa(kills()))
	t.Log(out)
	if !end.Exited() || end.ExitStatus() != 0 {
		t.Errorf("caller ended with %#x", end)
	}
}

// exitInfoKept tells whether this kernel keeps a worker's status with its
// pidfd.
func exitInfoKept(r tfork.Report) bool {
	for _, f := range r.Features {
		if strings.Contains(f.Name, "PIDFD_INFO_EXIT") {
			return f.Err == nil
		}
	}
	return false
}

// TestDeath_WaiterStopped: what a caller asks for is answered within a bounded
// time although something stops the waiter, again and again.
func TestDeath_WaiterStopped(t *testing.T) {
	needWaiter(t)
	held := through("/bin/sleep", "1000")
	if err := held.Start(); err != nil {
		t.Fatal(err)
	}
	stopWaiters := func() {
		for _, pid := range waitersOf(os.Getpid()) {
			kill(pid, unix.SIGSTOP)
			testutil.Poll(t, patience, "waiter is stopped", func() bool { return testutil.StateOf(pid) == "T" })
		}
	}
	bounded := func(what string, f func() error) {
		t.Helper()
		stopWaiters()
		begin := time.Now()
		done := make(chan error, 1)
		go func() { done <- f() }()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("%s: %v", what, err)
			}
			t.Logf("%s: %v", what, time.Since(begin).Round(time.Millisecond))
		case <-time.After(testutil.Scaled(patience)):
			t.Fatalf("%s: not within %v", what, testutil.Scaled(patience))
		}
	}
	bounded("Start", func() error {
		c := through("/bin/true")
		return c.Run()
	})
	bounded("Signal", func() error { return held.Process.Signal(unix.Signal(0)) })
	bounded("Kill and Wait", func() error {
		held.Process.Kill()
		if st, err := held.Process.Status(true); err != nil || st.Signal() != unix.SIGKILL {
			return fmt.Errorf("%v, %w", st, err)
		}
		held.Wait()
		return nil
	})
	bounded("CloseIdle", func() error { tfork.CloseIdle(); return nil })
}
