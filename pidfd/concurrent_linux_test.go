// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package pidfd

import (
	"context"
	"errors"
	"os"
	"runtime"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/seed-cb702d51/tfork-go/internal/testutil"
)

func TestWait_ContextEndsIt(t *testing.T) {
	c := sh(t, "read x; exit 5")
	ctx, cancel := context.WithCancel(context.Background())
	waited := make(chan error, 1)
	go func() {
		_, err := c.Wait(ctx)
		waited <- err
	}()
	testutil.Poll(t, patience, "it waits", func() bool { return len(c.turn) == 1 })
	cancel()
	if err := <-waited; err != context.Canceled {
		t.Errorf("Wait = %v, want context.Canceled", err)
	}
	if _, err := c.Wait(ctx); err != context.Canceled {
		t.Errorf("Wait with a context that is done = %v, want context.Canceled", err)
	}
	// The descriptor is as good as before, and the interrupt is not left on.
	c.stdin.Close()
	if exit, err := c.Wait(soon(t)); err != nil || exit.Status != exited(5) {
		t.Errorf("Wait afterwards = %v, %v, want exit status 5", exit, err)
	}
}

func TestWait_EndWinsOverContext(t *testing.T) {
	c := sh(t, "exit 6")
	testutil.Poll(t, patience, "a zombie", func() bool { return testutil.StateOf(c.pid) == "Z" })
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if exit, err := c.Wait(ctx); err != nil || exit.Status != exited(6) {
		t.Errorf("Wait = %v, %v, want exit status 6", exit, err)
	}
}

// TestWait_ManyAtOnce: every waiter gets the very same Exit, those whose
// context ends do so alone, and whoever held the turn passes it on.
func TestWait_ManyAtOnce(t *testing.T) {
	testutil.ForEachSIGCHLD(t, func(t *testing.T) {
		needExitInfoUnlessAlone(t)
		c := sh(t, "read x; exit 42")
		impatient, cancel := context.WithCancel(context.Background())
		var all, gaveUp sync.WaitGroup
		var mu sync.Mutex
		seen := map[Exit]int{}
		for range 32 {
			gaveUp.Go(func() {
				if _, err := c.Wait(impatient); err != context.Canceled {
					t.Errorf("impatient Wait = %v", err)
				}
			})
			all.Go(func() {
				exit, err := c.Wait(soon(t))
				if err != nil {
					t.Errorf("Wait: %v", err)
				}
				mu.Lock()
				defer mu.Unlock()
				seen[exit]++
			})
			all.Go(func() {
				for {
					exit, err := c.TryWait()
					if err == nil {
						mu.Lock()
						defer mu.Unlock()
						seen[exit]++
						return
					}
					if err != ErrRunning {
						t.Errorf("TryWait: %v", err)
						return
					}
					runtime.Gosched()
				}
			})
		}
		cancel()
		gaveUp.Wait()
		c.stdin.Close()
		all.Wait()
		if len(seen) != 1 {
			t.Errorf("%d different answers: %v", len(seen), seen)
		}
		for exit := range seen {
			if exit.Status != exited(42) {
				t.Errorf("status %#x, want exit status 42", exit.Status)
			}
		}
	})
}

func TestWait_CloseEndsAll(t *testing.T) {
	c := sh(t, "read x")
	f := mustOpen(t, c.pid)
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			if _, err := f.Wait(soon(t)); !errors.Is(err, os.ErrClosed) {
				t.Errorf("Wait = %v, want os.ErrClosed", err)
			}
		})
		all.Go(func() {
			if _, err := f.Wait(context.Background()); !errors.Is(err, os.ErrClosed) {
				t.Errorf("Wait without a deadline = %v, want os.ErrClosed", err)
			}
		})
	}
	testutil.Poll(t, patience, "one waits", func() bool { return len(f.turn) == 1 })
	f.Close()
	all.Wait()
}

// TestFD_EverythingAtOnce is for the race detector: what comes back must be
// the truth or os.ErrClosed, in any order.
func TestFD_EverythingAtOnce(t *testing.T) {
	testutil.ForEachSIGCHLD(t, func(t *testing.T) {
		needExitInfoUnlessAlone(t)
		for range 50 {
			c := sh(t, "read x; exit 1")
			f := mustOpen(t, c.pid)
			allowed := func(what string, err error, also ...error) {
				for _, ok := range append(also, nil, os.ErrClosed) {
					if err == ok || errors.Is(err, ok) {
						return
					}
				}
				t.Errorf("%s: %v", what, err)
			}
			var all sync.WaitGroup
			for range 4 {
				all.Go(func() { _, err := f.Wait(soon(t)); allowed("Wait", err) })
				all.Go(func() { _, err := f.TryWait(); allowed("TryWait", err, ErrRunning) })
				all.Go(func() { allowed("Signal", f.Signal(unix.SIGTERM), os.ErrProcessDone) })
				all.Go(func() { _, err := f.ExitInfo(); allowed("ExitInfo", err, ErrRunning, ErrStatusUnknown) })
				all.Go(func() { _, err := f.Info(); allowed("Info", err, os.ErrProcessDone, ErrNotSupported) })
			}
			all.Go(func() { f.Close() })
			all.Wait()
		}
	})
}

// TestWait_WithoutPoller is what happens when epoll runs into a limit.
func TestWait_WithoutPoller(t *testing.T) {
	start := func(t *testing.T, script string) *child {
		c := sh(t, script)
		c.poll = false
		return c
	}
	t.Run("status", func(t *testing.T) {
		c := start(t, "read x; exit 8")
		go c.stdin.Close()
		if exit, err := c.Wait(soon(t)); err != nil || exit.Status != exited(8) {
			t.Errorf("Wait = %v, %v, want exit status 8", exit, err)
		}
	})
	t.Run("context", func(t *testing.T) {
		c := start(t, "read x")
		ctx, cancel := context.WithCancel(context.Background())
		go cancel()
		if _, err := c.Wait(ctx); err != context.Canceled {
			t.Errorf("Wait = %v, want context.Canceled", err)
		}
	})
	t.Run("close", func(t *testing.T) {
		c := start(t, "read x")
		f := mustOpen(t, c.pid)
		f.poll = false
		go f.Close()
		if _, err := f.Wait(soon(t)); !errors.Is(err, os.ErrClosed) {
			t.Errorf("Wait = %v, want os.ErrClosed", err)
		}
	})
}

// TestNewFD_NotPollable: what epoll refuses is noticed, here a plain file.
func TestNewFD_NotPollable(t *testing.T) {
	fd, err := unix.Open(testutil.Exe(), unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	f := newFD(fd, realKernel)
	defer f.Close()
	if f.poll {
		t.Error("a plain file counts as pollable")
	}
}

// TestWait_IsCheap: parked waiters keep no thread and less than 8 KiB each.
func TestWait_IsCheap(t *testing.T) {
	const waiters = 1000
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); limit.Cur < waiters+100 {
		t.Skipf("only %d descriptors allowed", limit.Cur)
	}
	c := sh(t, "read x")
	fds := make([]*FD, waiters)
	threads, before := testutil.Threads(os.Getpid()), memory()
	var all sync.WaitGroup
	for i := range fds {
		fds[i] = mustOpen(t, c.pid)
		all.Go(func() { fds[i].Wait(context.Background()) })
	}
	testutil.Poll(t, patience, "all are parked", func() bool {
		for _, f := range fds {
			if len(f.turn) == 0 {
				return false
			}
		}
		return true
	})
	each := int(memory()-before) / waiters
	more := testutil.Threads(os.Getpid()) - threads
	t.Logf("%d bytes each, %d more threads for %d waiters", each, more, waiters)
	if each >= 8<<10 && !raceEnabled {
		t.Errorf("%d bytes for a parked waiter, want less than 8 KiB", each)
	}
	if more > 8 {
		t.Errorf("%d more threads", more)
	}
	for _, f := range fds {
		f.Close()
	}
	all.Wait()
}

// memory is what the runtime has in use: heap, stacks, and its own tables.
func memory() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse + m.StackInuse + m.OtherSys
}
