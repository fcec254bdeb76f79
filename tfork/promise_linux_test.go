// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package tfork

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/seed-cb702d51/tfork-go/internal/testutil"
)

// The promises of docs/architecture.md, one test each.

// ending is a way for a worker to end, and what its status must be.
type ending struct {
	program string
	args    []string
	want    syscall.WaitStatus
}

// endings has all 256 exit codes and some signals.
func endings(t testing.TB) []ending {
	var all []ending
	for code := range 256 {
		all = append(all, ending{testutil.Tiny(t, byte(code)), nil, syscall.WaitStatus(code << 8)})
	}
	for _, sig := range []syscall.Signal{unix.SIGKILL, unix.SIGTERM, unix.SIGSEGV, unix.SIGUSR1, unix.SIGHUP} {
		all = append(all, ending{"/bin/sh", []string{"-c", "ulimit -c 0; kill -" + strconv.Itoa(int(sig)) + " $$"}, syscall.WaitStatus(sig)})
	}
	return all
}

// TestPromise1_StatusDeliveredAndTrue: 2000 children, 8 at a time.
func TestPromise1_StatusDeliveredAndTrue(t *testing.T) {
	all := endings(t)
	forEachStrategy(t, func(t *testing.T, m mode) {
		m.needGuard(t)
		children := 2000
		if m.dedicated {
			children = 200 // each starts this binary once more
		}
		children = testutil.Fewer(children)
		testutil.ForEachSIGCHLD(t, func(t *testing.T) {
			var next atomic.Int64
			var runners sync.WaitGroup
			for range 8 {
				runners.Go(func() {
					for i := next.Add(1); i <= int64(children); i = next.Add(1) {
						e := all[int(i)%len(all)]
						c := m.command(e.program, e.args...)
						if err := c.Start(); err != nil {
							t.Error(err)
							return
						}
						st, err := c.Process.Status(true)
						if err != nil || st.WaitStatus()&^0x80 != e.want {
							t.Errorf("status %#x, %v, want %#x", st.WaitStatus(), err, e.want)
						}
					}
				})
			}
			runners.Wait()
		})
	})
}

// TestPromise2_ApplicationUntouched: dispositions, mask, subreaper flag and
// descriptors stay, and children that others started are not reaped.
func TestPromise2_ApplicationUntouched(t *testing.T) {
	forEachStrategy(t, func(t *testing.T, m mode) {
		mine, err := os.StartProcess("/bin/true", []string{"true"}, &os.ProcAttr{})
		if err != nil {
			t.Fatal(err)
		}
		testutil.Poll(t, patience, "application's child is a zombie", func() bool { return testutil.StateOf(mine.Pid) == "Z" })
		m.command("/bin/true").Run() // what is opened once, by the runtime too, is open now
		settle()
		testutil.Poll(t, patience, "only the application's child is left", func() bool { return len(testutil.Children()) == 1 })
		before := processState(t)
		for range 20 {
			if err := m.command("/bin/true").Run(); err != nil {
				t.Fatal(err)
			}
		}
		var after []string
		if !testutil.PollFor(patience, func() bool {
			settle() // and a dedicated waiter ends just after its worker
			after = processState(t)
			return slices.Equal(before, after)
		}) {
			t.Errorf("before: %q\nafter:  %q", before, after)
		}
		if st, err := mine.Wait(); err != nil || !st.Success() {
			t.Errorf("application's own child: %v, %v", st, err)
		}
	})
}

// processState lists what an application may notice.
func processState(t *testing.T) []string {
	t.Helper()
	var state []string
	for line := range lines(t, "/proc/self/status") {
		switch key, _, _ := cutColon(line); key {
		case "SigBlk", "SigIgn", "SigCgt":
			state = append(state, line)
		}
	}
	var subreaper int32
	err := unix.Prctl(unix.PR_GET_CHILD_SUBREAPER, ptr(&subreaper), 0, 0, 0) // not everywhere
	state = append(state, fmt.Sprintf("subreaper %d, %v", subreaper, err))
	return append(state, testutil.SortedFDs(os.Getpid())...)
}

// TestPromise3_EventAfterCollection: 10,000 rounds under a thief.
func TestPromise3_EventAfterCollection(t *testing.T) {
	tiny := testutil.Tiny(t, 5)
	forEachStrategy(t, func(t *testing.T, m mode) {
		m.needGuard(t)
		rounds := 10_000
		if m.dedicated {
			rounds = 200
		}
		rounds = testutil.Fewer(rounds)
		testutil.Thief(t)
		var left atomic.Int64
		left.Store(int64(rounds))
		var runners sync.WaitGroup
		for range 4 {
			runners.Go(func() {
				for left.Add(-1) >= 0 {
					eventRound(t, m, tiny)
				}
			})
		}
		runners.Wait()
	})
}

func eventRound(t *testing.T, m mode, tiny string) {
	c := m.command(tiny)
	if err := c.Start(); err != nil {
		t.Error(err)
		return
	}
	e, err := c.Process.EventFD()
	if err != nil {
		t.Error(err)
		return
	}
	defer e.Close()
	if !pollIn(t, e, patience) {
		t.Error("event fd never readable")
	}
	if st, err := c.Process.Status(false); err != nil || st.ExitStatus() != 5 {
		t.Errorf("Status(false) when the event fd is readable: %v, %v", st, err)
	}
}

// TestPromise3_EventWhenStatusIsLost: also then the event fd becomes readable.
func TestPromise3_EventWhenStatusIsLost(t *testing.T) {
	c := Command("/bin/sleep", "1000")
	c.Strategy = Direct
	p := mustStart(t, c)
	p.h.close()
	p.h = &pidHandle{pid: p.Pid} // as on a kernel without pidfd
	e := mustEventFD(t, p)
	if err := unix.Kill(p.Pid, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	var ws unix.WaitStatus
	unix.Wait4(p.Pid, &ws, 0, nil) // the thief, or nobody: then the status is true
	if !pollIn(t, e, patience) {
		t.Fatal("event fd not readable")
	}
	st, err := p.Status(false)
	if !errors.Is(err, ErrLost) && (err != nil || st.Signal() != unix.SIGKILL) {
		t.Errorf("Status = %v, %v", st, err)
	}
}

// TestPromise4_NoThreadPerWorker: waiting goroutines are parked. The large
// number is TestManyWorkers_ThreadsAndMemory.
func TestPromise4_NoThreadPerWorker(t *testing.T) {
	pause := testutil.TinyPause(t)
	forEachStrategy(t, func(t *testing.T, m mode) {
		if m.dedicated {
			t.Skip("each has a waiter, which is another process")
		}
		if m.strategy == Direct {
			if err := directParks(); err != nil {
				t.Skip("one thread per worker here: ", err)
			}
		}
		mustStart(t, m.command(pause)) // starts what is started once
		before := testutil.Threads(os.Getpid())
		var waiting sync.WaitGroup
		var procs []*Process
		for range 200 {
			p := mustStart(t, m.command(pause))
			procs = append(procs, p)
			waiting.Go(func() { p.Wait() })
		}
		runtime.Gosched()
		if now := testutil.Threads(os.Getpid()); now > before+20 {
			t.Errorf("%d threads with 200 waiting goroutines, %d before", now, before)
		}
		for _, p := range procs {
			p.Kill()
		}
		waiting.Wait()
	})
}

// TestPromise5_LostIsAnErrorOfItsOwn: a stolen status that nobody keeps is
// ErrLost, never a number.
func TestPromise5_LostIsAnErrorOfItsOwn(t *testing.T) {
	for range 50 {
		c := Command("/bin/sleep", "1000")
		c.Strategy = Direct
		p := mustStart(t, c)
		p.h.close()
		p.h = &pidHandle{pid: p.Pid} // as on a kernel without pidfd
		if err := p.Kill(); err != nil {
			t.Fatal(err)
		}
		unix.Wait4(p.Pid, nil, 0, nil) // stolen
		_, err := p.Status(true)
		if !errors.Is(err, ErrLost) {
			t.Fatalf("Status = %v, want ErrLost", err)
		}
		if state, err := p.Wait(); state != nil || !errors.Is(err, ErrLost) {
			t.Fatalf("Wait = %v, %v, want ErrLost", state, err)
		}
		if err := p.Signal(unix.SIGTERM); !errors.Is(err, os.ErrProcessDone) {
			t.Fatalf("Signal after the loss = %v", err)
		}
		if err := p.Destroy(); !errors.Is(err, ErrLost) {
			t.Fatalf("Destroy = %v, want ErrLost", err)
		}
	}
}

// TestSIGCHLD_ApplicationMissesNothing: an application that reaps in its own
// handler hears of all its children.
func TestSIGCHLD_ApplicationMissesNothing(t *testing.T) {
	forEachStrategy(t, func(t *testing.T, m mode) {
		c := make(chan os.Signal, 1)
		signal.Notify(c, unix.SIGCHLD)
		defer func() { signal.Stop(c); testutil.RestoreSIGCHLD() }()
		for range 50 {
			p := mustStart(t, m.command("/bin/true"))
			plain, err := os.StartProcess("/bin/true", []string{"true"}, &os.ProcAttr{})
			if err != nil {
				t.Fatal(err)
			}
			for testutil.StateOf(plain.Pid) != "Z" {
				<-c // each end raises one, merged or not: looking after each is enough
			}
			if st, err := plain.Wait(); err != nil || !st.Success() {
				t.Fatalf("plain child: %v, %v", st, err)
			}
			wantExit(t, p, 0)
		}
	})
}
