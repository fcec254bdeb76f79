// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package cgroup

import (
	"errors"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-cb702d51/tfork-go/internal/cgroupfs"
	"github.com/seed-cb702d51/tfork-go/internal/testutil"
)

// limited makes a group with limits, and skips the test where a controller
// that they need belongs to cgroup v1 or was not handed down.
func limited(t testing.TB, l Limits) *Group {
	t.Helper()
	parent := newParent(t)
	g, err := Create(parent, "limited-*", l)
	if errors.Is(err, ErrNoController) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { remove(t, g) })
	return g
}

// noSwap adds SwapMax where the kernel has swap, so that memory.max is the end.
func noSwap(t testing.TB, l Limits) Limits {
	t.Helper()
	g := limited(t, Limits{MemoryMax: GiB})
	if testutil.ReadFile(g.Path()+"/memory.swap.max") != "" {
		l.SwapMax = NoSwap
	}
	return l
}

// allocate uses mib MiB of memory at once.
func allocate(mib int) []string {
	return []string{"dd", "if=/dev/zero", "of=/dev/null", "count=1", "bs=" + strconv.Itoa(mib) + "M"}
}

// run starts a program in the group, waits for it, and returns how it ended
// with what the kernel counted meanwhile.
func run(t *testing.T, g *Group, argv ...string) (status syscall.WaitStatus, before, after Sample) {
	t.Helper()
	before = sample(t, g)
	c := mustStart(t, g, argv[0], argv[1:]...)
	c.Wait()
	return c.ProcessState.Sys().(syscall.WaitStatus), before, sample(t, g)
}

func sample(t testing.TB, g *Group) Sample {
	t.Helper()
	s, err := g.Sample()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func killed(s syscall.WaitStatus) bool { return s.Signaled() && s.Signal() == unix.SIGKILL }

func TestOOM_TheTruth(t *testing.T) {
	limits := noSwap(t, Limits{MemoryMax: 64 * MiB, OOMGroup: true})
	tests := []struct {
		name string
		argv []string
		want bool
	}{
		{"256 MiB under 64 MiB", allocate(256), true},
		{"killed by itself under the same limit", []string{"sh", "-c", "kill -KILL $$"}, false},
		{"killed by itself after using much", []string{"sh", "-c", strings.Join(allocate(32), " ") + "; kill -KILL $$"}, false},
		{"all is well", allocate(16), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g := limited(t, limits)
			status, before, after := run(t, g, tt.argv...)
			if got := after.OOMKilled(before, killed(status)); got != tt.want {
				t.Errorf("OOMKilled = %v, want %v (status %#x, %d kills before, %d after)", got, tt.want, status, before.OOMKills, after.OOMKills)
			}
			t.Logf("status %#x, OOM kills %d -> %d, peak %v", status, before.OOMKills, after.OOMKills, Bytes(after.PeakMemory))
			stat, err := g.Stat()
			if err != nil || (stat.OOMKills > 0) != tt.want {
				t.Errorf("Stat: %d OOM kills, %v", stat.OOMKills, err)
			}
		})
	}
}

// TestOOM_OfALimitAbove: the worker's own group has no limit, the one above it
// is exceeded. The kernel still counts the victim where it was.
func TestOOM_OfALimitAbove(t *testing.T) {
	above := limited(t, noSwap(t, Limits{MemoryMax: 64 * MiB}))
	g := newGroup(t, above, Limits{MemoryHigh: Unlimited})
	other := newGroup(t, above, Limits{MemoryHigh: Unlimited})
	status, before, after := run(t, g, allocate(256)...)
	if !killed(status) || !after.OOMKilled(before, true) {
		t.Errorf("status %#x, %d kills before, %d after", status, before.OOMKills, after.OOMKills)
	}
	if n := sample(t, other).OOMKills; n != 0 {
		t.Errorf("%d kills are counted in the group beside it", n)
	}
	if n := sample(t, above).OOMKills; n != 0 {
		t.Errorf("%d kills are counted in the group above as its own", n)
	}
}

func TestPeakMemory_Within10Percent(t *testing.T) {
	const mib = 128
	g := limited(t, Limits{MemoryMax: GiB})
	testutil.NeedFeature(t, "5.19", func() error {
		if sample(t, g).HasPeak {
			return nil
		}
		return notSupported("memory.peak", "Linux 5.19", syscall.ENOENT)
	})
	status, _, after := run(t, g, allocate(mib)...)
	if status != 0 {
		t.Fatalf("status %#x", status)
	}
	t.Logf("peak memory %.1f MiB of %d MiB", float64(after.PeakMemory)/(1<<20), mib)
	if got := float64(after.PeakMemory) / (mib << 20); got < 0.9 || got > 1.1 {
		t.Errorf("peak memory %v, want %d MiB within 10 %%", Bytes(after.PeakMemory), mib)
	}
	stat, err := g.Stat()
	if err != nil || stat.MemoryPeak != Bytes(after.PeakMemory) || stat.Memory > stat.MemoryPeak {
		t.Errorf("Stat = %+v, %v", stat, err)
	}
}

func TestPids_StopAForkBomb(t *testing.T) {
	const most = 16
	g := limited(t, Limits{PidsMax: most})
	c := mustStart(t, g, "/bin/sh", "-c", "while :; do sleep 1000 & done")
	testutil.Poll(t, time.Minute, "the kernel refuses a fork", func() bool {
		refused, _ := cgroupfs.Field([]byte(testutil.ReadFile(g.Path()+"/pids.events")), "max")
		return refused > 0
	})
	if s, err := g.Stat(); err != nil || s.Pids > most {
		t.Errorf("%d processes, %v", s.Pids, err)
	}
	if err := g.Kill(); err != nil {
		t.Fatal(err)
	}
	c.Wait()
}

// TestCPUs_Within20Percent takes 5 s: the quota is one of time.
func TestCPUs_Within20Percent(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 5 s")
	}
	const cpus, span = 0.25, 5 * time.Second
	g := limited(t, Limits{CPUs: cpus})
	c := mustStart(t, g, "/bin/sh", "-c", "while :; do :; done")
	defer c.Wait()
	defer c.Process.Kill()
	testutil.Poll(t, time.Minute, "it runs", func() bool { return sample(t, g).CPUTime > 0 })
	began, first := time.Now(), sample(t, g).CPUTime
	time.Sleep(span) // what is measured, not a synchronisation
	used, took := sample(t, g).CPUTime-first, time.Since(began)
	t.Logf("used %v of %v = %.3f processors, limit %v", used, took, used.Seconds()/took.Seconds(), cpus)
	if got := used.Seconds() / took.Seconds(); got < 0.8*cpus || got > 1.2*cpus {
		t.Errorf("used %v of %v = %.3f processors, want %v within 20 %%", used, took, got, cpus)
	}
	if s, err := g.Stat(); err != nil || s.Throttled == 0 {
		t.Errorf("throttled for %v, %v", s.Throttled, err)
	}
}

// TestLimits_ReachTheKernel reads each file back.
func TestLimits_ReachTheKernel(t *testing.T) {
	tests := []struct {
		file   string
		limits Limits
		want   string
	}{
		{"memory.max", Limits{MemoryMax: 64 * MiB}, "67108864"},
		{"memory.max", Limits{MemoryMax: Unlimited}, "max"},
		{"memory.high", Limits{MemoryHigh: 48 * MiB}, "50331648"},
		{"memory.oom.group", Limits{OOMGroup: true}, "1"},
		{"pids.max", Limits{PidsMax: 32}, "32"},
		{"pids.max", Limits{PidsMax: Unlimited}, "max"},
		{"cpu.max", Limits{CPUs: 1.5}, "150000 100000"},
		{"cpu.max", Limits{CPUs: 0.01}, "1000 100000"},
		{"cpu.weight", Limits{CPUWeight: 7}, "7"},
		{"cpuset.cpus", Limits{CPUSet: "0"}, "0"},
		{"cpuset.mems", Limits{MemorySet: "0"}, "0"},
	}
	for _, tt := range tests {
		t.Run(tt.file+" "+tt.want, func(t *testing.T) {
			g := limited(t, tt.limits)
			if got := strings.TrimSpace(testutil.ReadFile(g.Path() + "/" + tt.file)); got != tt.want {
				t.Errorf("%s = %q, want %q", tt.file, got, tt.want)
			}
		})
	}
}

func TestIOWeight_OrAClearError(t *testing.T) {
	parent := newParent(t)
	g, err := Create(parent, "x", Limits{IOWeight: 500})
	var le *LimitError
	switch {
	case errors.Is(err, ErrNoController):
		t.Skip(err)
	case err == nil:
		defer remove(t, g)
		text := testutil.ReadFile(g.Path()+"/io.weight") + testutil.ReadFile(g.Path()+"/io.bfq.weight")
		if !strings.Contains(text, "500") && !strings.Contains(text, "136") { // 136: on the scale of BFQ
			t.Errorf("weights are %q", text)
		}
	case !errors.As(err, &le) || le.Field != "IOWeight" || !errors.Is(err, ErrNotSupported):
		t.Errorf("Create = %v", err)
	default:
		t.Log(err)
	}
}

func TestLimits_KernelRefusalNamesTheField(t *testing.T) {
	limited(t, Limits{CPUSet: "0"})
	parent := newParent(t)
	_, err := Create(parent, "x", Limits{PidsMax: 10, CPUSet: "60000"})
	var le *LimitError
	if !errors.As(err, &le) || le.Field != "CPUSet" || !strings.Contains(err.Error(), `CPUSet="60000"`) {
		t.Errorf("Create = %v", err)
	}
	if left := groupsIn(t, parent.Path()); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestSet_ChangesOneAndLeavesTheOthers(t *testing.T) {
	g := limited(t, Limits{PidsMax: 10, MemoryMax: 64 * MiB})
	if err := g.Set(Limits{PidsMax: 20}); err != nil {
		t.Fatal(err)
	}
	got := [2]string{testutil.ReadFile(g.Path() + "/pids.max"), testutil.ReadFile(g.Path() + "/memory.max")}
	if got != [2]string{"20\n", "67108864\n"} {
		t.Errorf("pids.max, memory.max = %q", got)
	}
	// cpu was not turned on for this group.
	if err := g.Set(Limits{CPUs: 1}); !errors.Is(err, ErrNoController) {
		t.Errorf("Set of a controller that is off: %v", err)
	}
}

// TestCreate_OnTheWayDown: controllers reach a group two levels below the one
// that was opened, and none above it is touched.
func TestCreate_OnTheWayDown(t *testing.T) {
	limited(t, Limits{PidsMax: 10}) // or skip
	top := newParent(t)
	middle := newGroup(t, top, Limits{})
	if on, _ := words(top.Path() + "/cgroup.subtree_control"); len(on) != 0 {
		t.Fatalf("controllers are on before: %v", on)
	}
	g := newGroup(t, middle, Limits{PidsMax: 10})
	for _, dir := range []string{top.Path(), middle.Path()} {
		if got := testutil.ReadFile(dir + "/cgroup.subtree_control"); got != "pids\n" {
			t.Errorf("%s: subtree_control = %q", dir, got)
		}
	}
	if got := testutil.ReadFile(g.Path() + "/pids.max"); got != "10\n" {
		t.Errorf("pids.max = %q", got)
	}
	// Opened by itself, the middle has nothing to turn on above it.
	alone, err := Open(middle.Path())
	if err != nil {
		t.Fatal(err)
	}
	defer alone.Close()
	if _, err := Create(alone, "x", Limits{MemoryMax: GiB}); !errors.Is(err, ErrNoController) {
		t.Errorf("Create below a group without the controller: %v", err)
	}
}

func TestCreate_InnerProcesses(t *testing.T) {
	limited(t, Limits{MemoryMax: GiB})
	parent := newParent(t)
	c := mustStart(t, parent, "/bin/sleep", "100")
	defer c.Wait()
	defer c.Process.Kill()
	_, err := Create(parent, "x", Limits{MemoryMax: GiB})
	if !errors.Is(err, ErrHasProcesses) || !errors.Is(err, syscall.EBUSY) {
		t.Fatalf("Create beside processes: %v", err)
	}
	if err := parent.EnterLeaf(); err != nil {
		t.Fatal(err)
	}
	newGroup(t, parent, Limits{MemoryMax: GiB})
	if got := testutil.ReadFile(parent.Path() + "/" + leafName + "/cgroup.procs"); got != strconv.Itoa(c.Process.Pid)+"\n" {
		t.Errorf("in the leaf: %q", got)
	}
	// Now nothing can be started in the parent itself.
	_, err = startIn(parent, "/bin/true")
	if !errors.Is(err, syscall.EBUSY) {
		t.Errorf("start in an inner node: %v", err)
	}
}
