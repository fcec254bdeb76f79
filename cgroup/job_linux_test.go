// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package cgroup

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-cb702d51/tfork-go/internal/cgroupfs"
	"github.com/seed-cb702d51/tfork-go/internal/testutil"
	"github.com/seed-cb702d51/tfork-go/tfork"
)

// forEachStrategy runs f with every strategy that can be had here.
func forEachStrategy(t *testing.T, f func(t *testing.T, command func(name string, arg ...string) *tfork.Cmd)) {
	for name, s := range map[string]tfork.Strategy{"direct": tfork.Direct, "waiter": tfork.Waiter} {
		t.Run(name, func(t *testing.T) {
			command := func(name string, arg ...string) *tfork.Cmd {
				c := tfork.Command(name, arg...)
				c.Strategy = s
				return c
			}
			if err := command("true").Run(); errors.Is(err, tfork.ErrNotSupported) {
				t.Skip(err)
			} else if err != nil {
				t.Fatal(err)
			}
			f(t, command)
		})
	}
}

func TestRun_InsideFromTheFirstInstruction(t *testing.T) {
	forEachStrategy(t, func(t *testing.T, command func(string, ...string) *tfork.Cmd) {
		parent := newParent(t)
		c := command("cat", "/proc/self/cgroup")
		var out bytes.Buffer
		c.Stdout = &out
		if err := Run(c, Options{Parent: parent, Name: "job"}); err != nil {
			t.Fatal(err)
		}
		self, _ := cgroupfs.ParseSelf(out.Bytes())
		if filepath.Base(self) != "job" || filepath.Base(filepath.Dir(self)) != filepath.Base(parent.Path()) {
			t.Errorf("it ran in %q, want job below %s", self, parent.Path())
		}
		if p := c.Process.Placement(); p != tfork.PlacedBorn && p != tfork.PlacedJoined {
			t.Errorf("placement: %v", p)
		}
		if left := groupsIn(t, parent.Path()); len(left) != 0 {
			t.Errorf("left behind: %v", left)
		}
	})
}

// TestRun_EndsTheWholeTree: descendants in sessions of their own go on after
// the worker's end and hold its output open, which keeps os/exec waiting.
func TestRun_EndsTheWholeTree(t *testing.T) {
	forEachStrategy(t, func(t *testing.T, command func(string, ...string) *tfork.Cmd) {
		parent := newParent(t)
		marker := strconv.Itoa(1_000_000 + rand.IntN(1_000_000_000))
		c := command("sh", "-c", "for i in 1 2 3; do (setsid sleep $0 &); done; echo started; exit 7", marker)
		var out bytes.Buffer
		c.Stdout = &out
		err := Run(c, Options{Parent: parent})
		var ee *tfork.ExitError
		if !errors.As(err, &ee) || ee.ExitCode() != 7 {
			t.Errorf("Run = %v, want exit status 7", err)
		}
		if out.String() != "started\n" {
			t.Errorf("output %q", out.String())
		}
		if left := sleepers(marker); len(left) != 0 {
			t.Errorf("%d descendants are left", len(left))
		}
		if left := groupsIn(t, parent.Path()); len(left) != 0 {
			t.Errorf("left behind: %v", left)
		}
	})
}

func TestJob_KillSampleAndSecondWait(t *testing.T) {
	forEachStrategy(t, func(t *testing.T, command func(string, ...string) *tfork.Cmd) {
		j, err := Start(command("sh", "-c", "while :; do :; done"), Options{Parent: newParent(t)})
		if err != nil {
			t.Fatal(err)
		}
		var before Sample
		testutil.Poll(t, time.Minute, "it uses time", func() bool {
			before, err = j.Sample()
			return err != nil || before.CPUTime > 0
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := j.Kill(); err != nil {
			t.Fatal(err)
		}
		first, second := j.Wait(), j.Wait()
		if first == nil || first.Error() != "signal: killed" || first != second {
			t.Errorf("Wait = %v, then %v", first, second)
		}
		after, err := j.Sample()
		if err != nil || after.CPUTime < before.CPUTime {
			t.Errorf("after the end: %+v, %v; before %+v", after, err, before)
		}
		if err := j.Kill(); err != nil {
			t.Errorf("Kill after the end = %v", err)
		}
	})
}

// TestJob_SampleOfTheEndStays: a monitor is held up in Sample while the job ends.
// Its numbers are older, and must not take the place of the last ones.
func TestJob_SampleOfTheEndStays(t *testing.T) {
	g, err := Create(newParent(t), "job", Limits{})
	if err != nil {
		t.Fatal(err)
	}
	j := &Job{group: g}
	j.mu.Lock()
	monitor := make(chan struct{})
	go func() {
		defer close(monitor)
		j.Sample()
	}()
	testutil.Poll(t, time.Minute, "the monitor waits for its turn", waitsInSample)
	atEnd := Sample{CPUTime: time.Hour, HasCPU: true}
	j.last = atEnd
	for _, err := range []error{g.Delete(deadline(t)), g.Close()} {
		if err != nil {
			t.Error(err)
		}
	}
	j.mu.Unlock()
	<-monitor
	if s, err := j.Sample(); s != atEnd || err != nil {
		t.Errorf("Sample after the end = %+v, %v, want %+v", s, err, atEnd)
	}
}

// waitsInSample tells whether a goroutine waits for a mutex in Job.Sample.
func waitsInSample() bool {
	buf := make([]byte, 1<<20)
	for _, g := range strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
		if strings.Contains(g, "[sync.Mutex.Lock") && strings.Contains(g, "cgroup.(*Job).Sample(") {
			return true
		}
	}
	return false
}

func TestStart_ErrorsLeaveNothing(t *testing.T) {
	parent := newParent(t)
	tests := []struct {
		name   string
		change func(c *tfork.Cmd, o *Options)
		want   func(err error) bool
	}{
		{"no such program", func(c *tfork.Cmd, _ *Options) { c.Path = "/no/such/program" }, is(fs.ErrNotExist)},
		{"not in PATH", func(c *tfork.Cmd, _ *Options) { *c = *tfork.Command("no-such-program") }, is(exec.ErrNotFound)},
		{"bad name", func(_ *tfork.Cmd, o *Options) { o.Name = "../x" }, is(ErrName)},
		{"bad limit", func(_ *tfork.Cmd, o *Options) { o.Limits.CPUs = -1 }, func(err error) bool {
			var le *LimitError
			return errors.As(err, &le)
		}},
		{"group of the user's own", func(c *tfork.Cmd, _ *Options) { c.Cgroup = parent.Dir() }, func(err error) bool { return err != nil }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := tfork.Command("true")
			o := Options{Parent: parent, Name: "job"}
			tt.change(c, &o)
			j, err := Start(c, o)
			if j != nil || !tt.want(err) {
				t.Errorf("Start = %v, %v", j, err)
			}
			if left := groupsIn(t, parent.Path()); len(left) != 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

func TestStart_BelowAFrozenGroup(t *testing.T) {
	forEachStrategy(t, func(t *testing.T, command func(string, ...string) *tfork.Cmd) {
		parent := newParent(t)
		if err := parent.Freeze(deadline(t)); err != nil {
			t.Fatal(err)
		}
		if j, err := Start(command("true"), Options{Parent: parent}); j != nil || !errors.Is(err, ErrFrozen) {
			t.Errorf("Start = %v, %v", j, err)
		}
		if left := groupsIn(t, parent.Path()); len(left) != 0 {
			t.Errorf("left behind: %v", left)
		}
	})
}

func is(target error) func(error) bool { return func(err error) bool { return errors.Is(err, target) } }

// TestCmd_PlacementErrors: each cause has its own sentinel, and the errno of
// the program is never blamed on the cgroup.
func TestCmd_PlacementErrors(t *testing.T) {
	tests := []struct {
		name string
		dir  func(t *testing.T) *Group
		want error
	}{
		{"removed", func(t *testing.T) *Group {
			g := newGroup(t, newParent(t), Limits{})
			if err := g.Delete(deadline(t)); err != nil {
				t.Fatal(err)
			}
			return g
		}, ErrRemoved},
		{"frozen", func(t *testing.T) *Group {
			g := newGroup(t, newParent(t), Limits{})
			if err := g.Freeze(deadline(t)); err != nil {
				t.Fatal(err)
			}
			return g
		}, ErrFrozen},
		{"inner node", func(t *testing.T) *Group {
			g := limited(t, Limits{MemoryMax: GiB})
			newGroup(t, g, Limits{MemoryMax: GiB})
			return g
		}, ErrInnerNode},
		{"full", func(t *testing.T) *Group {
			g := limited(t, Limits{PidsMax: 1})
			c := mustStart(t, g, "/bin/sleep", "100")
			t.Cleanup(func() { c.Process.Kill(); c.Wait() })
			return g
		}, ErrFull},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			forEachStrategy(t, func(t *testing.T, command func(string, ...string) *tfork.Cmd) {
				c := command("true")
				c.Cgroup = tt.dir(t).Dir()
				if err := c.Run(); !errors.Is(err, tt.want) {
					t.Errorf("Run = %v, want %v", err, tt.want)
				}
			})
		})
	}
}

// TestStatus_OOM is [TestOOM_TheTruth] through tfork's own status.
func TestStatus_OOM(t *testing.T) {
	limits := noSwap(t, Limits{MemoryMax: 64 * MiB, OOMGroup: true})
	tests := []struct {
		name string
		argv []string
		want bool
	}{
		{"256 MiB under 64 MiB", allocate(256), true},
		{"killed by itself", []string{"sh", "-c", "kill -KILL $$"}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			forEachStrategy(t, func(t *testing.T, command func(string, ...string) *tfork.Cmd) {
				c := command(tt.argv[0], tt.argv[1:]...)
				err := Run(c, Options{Parent: newParent(t), Limits: limits})
				if err == nil || err.Error() != "signal: killed" {
					t.Fatalf("Run = %v", err)
				}
				st, err := c.Process.Status(true)
				if err != nil {
					t.Fatal(err)
				}
				if st.OOMKilled() != tt.want {
					t.Errorf("OOMKilled = %v, want %v", st.OOMKilled(), tt.want)
				}
				if peak, ok := st.PeakMemory(); tt.want && ok && (peak < 48<<20 || peak > 72<<20) {
					t.Errorf("peak memory %v under a limit of 64 MiB", Bytes(peak))
				}
			})
		})
	}
}

// TestStatus_CPUTime: the status has the whole tree's time, also that of
// descendants nobody waited for.
func TestStatus_CPUTime(t *testing.T) {
	forEachStrategy(t, func(t *testing.T, command func(string, ...string) *tfork.Cmd) {
		c := command("sh", "-c", "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done")
		j, err := Start(c, Options{Parent: newParent(t)})
		if err != nil {
			t.Fatal(err)
		}
		if err := j.Wait(); err != nil {
			t.Fatal(err)
		}
		st, err := c.Process.Status(true)
		if err != nil {
			t.Fatal(err)
		}
		got, ok := st.CPUTime()
		all, err := j.Sample()
		if !ok || got <= 0 || err != nil || got > all.CPUTime {
			t.Errorf("CPUTime = %v, %v; the job's %v, %v", got, ok, all.CPUTime, err)
		}
	})
}

// TestJob_Rounds makes a group, limits it, starts a worker in it, kills and
// removes all that, 500 times, 8 at a time, with every strategy.
func TestJob_Rounds(t *testing.T) {
	rounds := 500
	if testing.Short() || testutil.Slow() > 1 {
		rounds = 50
	}
	forEachStrategy(t, func(t *testing.T, command func(string, ...string) *tfork.Cmd) {
		parent := newParent(t)
		o := Options{Parent: parent, Limits: Limits{PidsMax: 100, MemoryMax: GiB}}
		if missing(t, parent, o.Limits) {
			o.Limits = Limits{} // the rest of a round is worth as much
		}
		work := make(chan struct{})
		var workers sync.WaitGroup
		for range 8 {
			workers.Go(func() {
				for range work {
					if err := round(command("sleep", "100"), o); err != nil {
						t.Error(err)
					}
				}
			})
		}
		for range rounds {
			work <- struct{}{}
		}
		close(work)
		workers.Wait()
		if left := groupsIn(t, parent.Path()); len(left) != 0 {
			t.Errorf("%d directories are left: %v", len(left), left)
		}
		for fd, to := range testutil.FDs() {
			if strings.Contains(to, "inotify") || strings.HasPrefix(to, parent.Path()+"/") {
				t.Errorf("fd %s -> %s is left", fd, to)
			}
		}
	})
}

// missing tells whether a controller that the limits need is not here.
func missing(t testing.TB, parent *Group, l Limits) bool {
	t.Helper()
	g, err := Create(parent, "probe", l)
	if err == nil {
		remove(t, g)
	}
	return errors.Is(err, ErrNoController)
}

func round(c *tfork.Cmd, o Options) error {
	j, err := Start(c, o)
	if err != nil {
		return err
	}
	if err := j.Kill(); err != nil {
		return err
	}
	err = j.Wait()
	var ee *tfork.ExitError
	if !errors.As(err, &ee) || ee.Sys().(syscall.WaitStatus).Signal() != unix.SIGKILL {
		return fmt.Errorf("Wait = %w", err)
	}
	return nil
}
