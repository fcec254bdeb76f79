// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package prefork

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/seed-cb702d51/tfork-go/internal/testutil"
	"github.com/seed-cb702d51/tfork-go/tfork"
)

// limitedCgroup makes a cgroup below which a controller can be used, and skips
// the test where it belongs to cgroup v1 or was not handed down.
func limitedCgroup(t *testing.T, controller string) string {
	t.Helper()
	dir := testutil.Cgroup(t)
	here := func() bool {
		return slices.Contains(strings.Fields(testutil.ReadFile(filepath.Join(dir, "cgroup.controllers"))), controller)
	}
	if !here() {
		os.WriteFile(filepath.Join(filepath.Dir(dir), "cgroup.subtree_control"), []byte("+"+controller), 0)
	}
	if !here() {
		t.Skipf("the controller %s is not in cgroup v2 here, or not ours", controller)
	}
	if err := os.WriteFile(filepath.Join(dir, "cgroup.subtree_control"), []byte("+"+controller), 0); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestServer_WorkerOutOfMemory_IsToldAndReplaced: the log and the process table
// name the OOM killer.
func TestServer_WorkerOutOfMemory_IsToldAndReplaced(t *testing.T) {
	t.Setenv("TEST_CGROUP", limitedCgroup(t, "memory"))
	limits := "memory.max=128M"
	if testutil.ReadFile(os.Getenv("TEST_CGROUP")+"/memory.swap.max") != "" {
		limits += " memory.swap.max=0"
	}
	t.Setenv("TEST_CGROUP_LIMITS", limits)
	forEachStrategy(t, func(t *testing.T) {
		s := start(t, "children = 1\nbackoff-increment = 0", cagedService)
		old := s.pids()
		s.get(cagedService, "/alloc?mib=256")
		s.logged("ended", fmt.Sprint("child-pid=", old["prefork-worker-caged-0"]), `outcome="signal 9 (out of memory)"`, "restart=true", "level=ERROR")
		s.renewed(old, "worker-caged-0")
		if p := s.table()["prefork-worker-caged-0"]; p.After != "signal 9 (out of memory)" {
			t.Errorf("the successor comes after %q", p.After)
		}
		// Any other SIGKILL is none of it.
		old = s.pids()
		s.kill(syscall.SIGKILL, "worker-caged-0")
		s.logged("ended", fmt.Sprint("child-pid=", old["prefork-worker-caged-0"]), `outcome="signal 9"`)
	})
}

// TestServer_ForkBombInACgroup_EndsWithItsWorker, although it has left the
// worker's process group; pids.max bounds it.
func TestServer_ForkBombInACgroup_EndsWithItsWorker(t *testing.T) {
	base := limitedCgroup(t, "pids")
	t.Setenv("TEST_CGROUP", base)
	t.Setenv("TEST_CGROUP_LIMITS", "pids.max=64")
	forEachStrategy(t, func(t *testing.T) {
		s := start(t, "children = 1\nbackoff-increment = 0", cagedService, aloneService)
		for _, victim := range []string{"worker-caged-0", "master-caged"} {
			old := s.pids()
			s.get(cagedService, "/bomb?setsid=1")
			events, _ := filepath.Glob(base + "/worker-0-*/pids.events")
			testutil.Poll(t, patience, "the kernel refuses a fork", func() bool {
				return slices.ContainsFunc(events, func(path string) bool { return !strings.Contains(testutil.ReadFile(path), "max 0") })
			})
			s.see(aloneService)
			testutil.Kill(old["prefork-"+victim], syscall.SIGKILL)
			s.renewed(old, "worker-caged-0")
			testutil.Poll(t, patience, "nothing of the bomb is left", func() bool {
				return !slices.ContainsFunc(events, func(path string) bool {
					return testutil.ReadFile(filepath.Join(filepath.Dir(path), "cgroup.procs")) != ""
				})
			})
			s.see(cagedService)
		}
	})
}

// TestKillMembers_LeavesNobody is what is done where there is no cgroup.kill.
func TestKillMembers_LeavesNobody(t *testing.T) {
	dir, err := os.Open(testutil.Cgroup(t))
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	var workers []*tfork.Cmd
	for range 3 {
		c := tfork.Command("/bin/sleep", "1000")
		c.Cgroup = dir
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		workers = append(workers, c)
	}
	if members, err := cgroupMembers(dir); len(members) != len(workers) || err != nil {
		t.Errorf("members: %v, %v", members, err)
	}
	if !killMembers(dir) {
		t.Error("not killed")
	}
	for _, c := range workers {
		if st, err := c.Process.Status(true); err != nil || st.Signal() != syscall.SIGKILL {
			t.Errorf("%v, %v", st, err)
		}
	}
	if killMembers(os.Stdin) {
		t.Error("what is no cgroup was killed")
	}
}
