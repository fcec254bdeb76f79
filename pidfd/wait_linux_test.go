// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package pidfd

import (
	"context"
	"errors"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/seed-cb702d51/tfork-go/internal/testutil"
)

func exited(code int) syscall.WaitStatus { return syscall.WaitStatus(code << 8) }

func killedBy(sig syscall.Signal) syscall.WaitStatus { return syscall.WaitStatus(sig) }

func TestWait_TellsTheTruth(t *testing.T) {
	tests := []struct {
		name, script string
		want         syscall.WaitStatus
	}{
		{"exit 0", "exit 0", exited(0)},
		{"exit 3", "exit 3", exited(3)},
		{"exit 255", "exit 255", exited(255)},
		{"SIGTERM", "kill -TERM $$", killedBy(unix.SIGTERM)},
		{"SIGKILL", "kill -KILL $$", killedBy(unix.SIGKILL)},
		{"after a while", "read x; exit 7", exited(7)},
	}
	testutil.ForEachSIGCHLD(t, func(t *testing.T) {
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				c := sh(t, tt.script)
				if err := c.stdin.Close(); err != nil {
					t.Fatal(err)
				}
				got, err := c.Wait(soon(t))
				if honest(t, err) {
					return
				}
				if err != nil || got.Status != tt.want {
					t.Fatalf("Wait = %v, %v, want status %#x", got, err, tt.want)
				}
				if (got.Source == Reaped) != (got.Rusage != nil) {
					t.Errorf("%v with rusage %v", got.Source, got.Rusage)
				}
				if again, err := c.Wait(soon(t)); err != nil || again != got {
					t.Errorf("second Wait = %v, %v, want %v", again, err, got)
				}
			})
		}
	})
}

// honest tells whether a lost status is said to be lost, on a kernel older than
// 6.15 and where somebody else reaps. Anything else must be the truth.
func honest(t *testing.T, err error) bool {
	return !strings.Contains(t.Name(), "/default") && HaveExitInfo() != nil &&
		errors.Is(err, ErrStatusUnknown) && errors.Is(err, ErrNotSupported)
}

// needExitInfoUnlessAlone skips where somebody else reaps and only Linux 6.15
// could still tell the status.
func needExitInfoUnlessAlone(t *testing.T) {
	if !strings.Contains(t.Name(), "/default") {
		needExitInfo(t)
	}
}

func needExitInfo(t *testing.T) {
	t.Helper()
	testutil.NeedFeature(t, "6.15", HaveExitInfo)
}

// TestWait_ThousandsOfChildren: 256 exit codes and several signals, 8 at a
// time, whoever reaps.
func TestWait_ThousandsOfChildren(t *testing.T) {
	needSet(t)
	children := testutil.Fewer(2000)
	programs := make([]string, 256)
	for code := range programs {
		programs[code] = testutil.Tiny(t, byte(code))
	}
	signals := []syscall.Signal{unix.SIGTERM, unix.SIGKILL, unix.SIGUSR1, unix.SIGHUP}
	testutil.ForEachSIGCHLD(t, func(t *testing.T) {
		var next, wrong, stolen, lost atomic.Int64
		var workers sync.WaitGroup
		for range 8 {
			workers.Go(func() {
				for {
					n := int(next.Add(1)) - 1
					if n >= children {
						return
					}
					argv, want := []string{programs[n%256]}, exited(n%256)
					if n%16 == 0 {
						sig := signals[rand.IntN(len(signals))]
						argv, want = []string{"/bin/sh", "-c", "kill -" + strconv.Itoa(int(sig)) + " $$"}, killedBy(sig)
					}
					got, err := run(argv)
					if honest(t, err) {
						lost.Add(1)
					} else if err != nil || got.Status != want {
						wrong.Add(1)
						t.Errorf("%v: %v, %v, want %#x", argv, got, err, want)
					}
					if got.Source == ExitInfo {
						stolen.Add(1)
					}
				}
			})
		}
		workers.Wait()
		t.Logf("%d children, %d wrong, %d lost, %d reaped by somebody else", children, wrong.Load(), lost.Load(), stolen.Load())
	})
}

// run is start without a test's conveniences, for many goroutines at once.
func run(argv []string) (Exit, error) {
	fd := -1
	_, err := syscall.ForkExec(argv[0], argv, &syscall.ProcAttr{Sys: &syscall.SysProcAttr{PidFD: &fd}})
	if err != nil {
		return Exit{}, err
	}
	f, err := New(fd)
	if err != nil {
		return Exit{}, err
	}
	defer f.Close()
	return f.Wait(context.Background())
}

// TestWait_RusageIsTheChildsOwn: of children that are all alike none reports what
// those before it have used.
func TestWait_RusageIsTheChildsOwn(t *testing.T) {
	least, most := int64(1<<62), int64(0)
	for range 20 {
		c := sh(t, "exit 0")
		got, err := c.Wait(soon(t))
		if err != nil || got.Rusage == nil {
			t.Fatalf("Wait = %v, %v, want a rusage", got, err)
		}
		least, most = min(least, got.Rusage.Minflt), max(most, got.Rusage.Minflt)
	}
	if most > 5*least {
		t.Errorf("children that are alike report %d to %d page faults", least, most)
	}
}
