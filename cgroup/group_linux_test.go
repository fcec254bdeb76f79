// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package cgroup

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-cb702d51/tfork-go/internal/testutil"
	"github.com/seed-cb702d51/tfork-go/pidfd"
	"github.com/seed-cb702d51/tfork-go/tfork"
)

// newParent opens a cgroup of the test's own.
func newParent(t testing.TB) *Group {
	t.Helper()
	g, err := Open(testutil.Cgroup(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { g.Close() })
	return g
}

// newGroup makes a group with limits below parent. At the end it is removed.
func newGroup(t testing.TB, parent *Group, l Limits) *Group {
	t.Helper()
	g, err := Create(parent, "group-*", l)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { remove(t, g) })
	return g
}

func remove(t testing.TB, g *Group) {
	t.Helper()
	g.Thaw()
	if err := g.Kill(); err != nil {
		t.Error(err)
	}
	if err := g.Delete(deadline(t)); err != nil {
		t.Error(err)
	}
	g.Close()
}

// deadline is long enough for an emulated machine.
func deadline(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// startIn starts a program inside the group.
func startIn(g *Group, path string, args ...string) (*tfork.Cmd, error) {
	c := tfork.Command(path, args...)
	c.Cgroup = g.Dir()
	return c, c.Start()
}

func mustStart(t testing.TB, g *Group, path string, args ...string) *tfork.Cmd {
	t.Helper()
	c, err := startIn(g, path, args...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestCreate_MakesOneDirectoryAndDeleteRemovesIt(t *testing.T) {
	parent := newParent(t)
	g, err := Create(parent, "job-*", Limits{})
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	if dir, base := filepath.Split(g.Path()); filepath.Clean(dir) != parent.Path() || !strings.HasPrefix(base, "job-") || strings.Contains(base, "*") {
		t.Errorf("Path = %s below %s", g.Path(), parent.Path())
	}
	held, err := g.Dir().Stat()
	if err != nil {
		t.Fatal(err)
	}
	if now, err := os.Stat(g.Path()); err != nil || !os.SameFile(held, now) {
		t.Errorf("Dir is not the directory: %v", err)
	}
	if _, err := Create(parent, filepath.Base(g.Path()), Limits{}); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a second of the same name: %v", err)
	}
	for range 2 { // gone already is no error
		if err := g.Delete(deadline(t)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(g.Path()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the directory is still there: %v", err)
	}
}

func TestCreate_Errors(t *testing.T) {
	parent := newParent(t)
	gone := newGroup(t, parent, Limits{})
	if err := gone.Delete(deadline(t)); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, group string
		parent      *Group
		limits      Limits
		want        error
	}{
		{"escape", "../x", parent, Limits{}, ErrName},
		{"removed parent", "x", gone, Limits{}, ErrRemoved},
		{"removed parent, with limits", "x", gone, Limits{PidsMax: 3}, ErrRemoved},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := Create(tt.parent, tt.group, tt.limits); !errors.Is(err, tt.want) {
				t.Errorf("Create = %v, want %v", err, tt.want)
			}
		})
	}
	var le *LimitError
	if _, err := Create(parent, "x", Limits{CPUWeight: -1}); !errors.As(err, &le) {
		t.Errorf("Create with a bad limit = %v", err)
	}
	if entries := groupsIn(t, parent.Path()); len(entries) != 0 {
		t.Errorf("left behind: %v", entries)
	}
}

// groupsIn lists the cgroups directly in a directory.
func groupsIn(t testing.TB, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names
}

// TestCreate_MissingControllerIsNamed: whatever this host lacks, no group is
// left and the error says what to do.
func TestCreate_MissingControllerIsNamed(t *testing.T) {
	parent := newParent(t)
	have, err := words(parent.Path() + "/cgroup.controllers")
	if err != nil {
		t.Fatal(err)
	}
	limits := map[string]Limits{
		"memory": {MemoryMax: GiB}, "pids": {PidsMax: 100}, "cpu": {CPUs: 1}, "io": {IOWeight: 100}, "cpuset": {CPUSet: "0"},
	}
	for name, l := range limits {
		if slices.Contains(have, name) {
			continue
		}
		_, err := Create(parent, "x", l)
		if !errors.Is(err, ErrNoController) || !strings.Contains(err.Error(), name+": ") {
			t.Errorf("%s: %v", name, err)
		}
		t.Log(err)
	}
	if entries := groupsIn(t, parent.Path()); len(entries) != 0 {
		t.Errorf("left behind: %v", entries)
	}
}

func TestOpen_Errors(t *testing.T) {
	testutil.CgroupMount(t)
	if _, err := Open(t.TempDir()); !errors.Is(err, ErrNotCgroup) {
		t.Errorf("no cgroup: %v", err)
	}
	if _, err := Open("/no/such/directory"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing: %v", err)
	}
}

func TestStart_BornInside(t *testing.T) {
	g := newGroup(t, newParent(t), Limits{})
	c := mustStart(t, g, "/bin/sleep", "100")
	pids, err := g.Procs()
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]int{c.Process.Pid}, pids); d != "" {
		t.Errorf("Procs: -want +got\n%s", d)
	}
	if err := g.Kill(); err != nil {
		t.Fatal(err)
	}
	// Kill took no status: it is still there for us.
	if err := c.Wait(); err == nil || !strings.Contains(err.Error(), "signal: killed") {
		t.Errorf("Wait = %v", err)
	}
}

func TestStart_CgroupIDIsTheDirectory(t *testing.T) {
	if err := pidfd.HaveInfo(); errors.Is(err, ErrNotSupported) {
		t.Skip(err) // that probe is held by pidfd's own tests
	}
	g := newGroup(t, newParent(t), Limits{})
	c := mustStart(t, g, "/bin/sleep", "100")
	defer c.Wait()
	defer c.Process.Kill()
	fd, err := pidfd.Open(c.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	defer fd.Close()
	info, err := fd.Info()
	if err != nil {
		t.Fatal(err)
	}
	st, err := g.Dir().Stat()
	if err != nil {
		t.Fatal(err)
	}
	if ino := st.Sys().(*syscall.Stat_t).Ino; info.CgroupID != ino {
		t.Errorf("cgroup id %d, directory %d", info.CgroupID, ino)
	}
}

func TestDelete_SaysWhoIsLeft(t *testing.T) {
	g := newGroup(t, newParent(t), Limits{})
	sub, err := Create(g, "sub", Limits{})
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Close()
	c := mustStart(t, sub, "/bin/sleep", "100")
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	err = g.Delete(ctx)
	if !errors.Is(err, ErrPopulated) || !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), strconv.Itoa(c.Process.Pid)) {
		t.Errorf("Delete = %v", err)
	}
	if err := g.Kill(); err != nil {
		t.Fatal(err)
	}
	// Not waited for: a zombie holds no group.
	if err := g.Delete(deadline(t)); err != nil {
		t.Errorf("Delete after Kill = %v", err)
	}
	c.Wait()
}

// TestDelete_LeavesANamesakeAlone: somebody else removed the group and made
// one of the same name.
func TestDelete_LeavesANamesakeAlone(t *testing.T) {
	g := newGroup(t, newParent(t), Limits{})
	for _, err := range []error{os.Remove(g.Path()), os.Mkdir(g.Path(), 0o755)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	defer os.Remove(g.Path())
	if err := g.Delete(deadline(t)); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(g.Path()); err != nil {
		t.Errorf("the other group is gone: %v", err)
	}
	if _, err := g.Sample(); !errors.Is(err, ErrRemoved) {
		t.Errorf("Sample = %v", err)
	}
}

func TestStat_WithoutControllersTellsTheTime(t *testing.T) {
	g := newGroup(t, newParent(t), Limits{})
	c := mustStart(t, g, "/bin/sh", "-c", "while :; do :; done")
	defer c.Wait()
	defer c.Process.Kill()
	testutil.Poll(t, time.Minute, "10 ms of processor time", func() bool {
		s, err := g.Stat()
		if err != nil {
			t.Fatal(err)
		}
		return s.CPUTime >= 10*time.Millisecond && s.UserTime > 0
	})
	if err := g.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := g.Delete(deadline(t)); err != nil {
		t.Fatal(err)
	}
	if _, err := g.Stat(); !errors.Is(err, ErrRemoved) {
		t.Errorf("Stat of a removed group = %v", err)
	}
}

func TestClose_MakesItUseless(t *testing.T) {
	parent := newParent(t)
	g, err := Create(parent, "x", Limits{})
	if err != nil {
		t.Fatal(err)
	}
	defer os.Remove(g.Path())
	if err := g.Close(); err != nil {
		t.Fatal(err)
	}
	if err := g.Check(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("Check = %v", err)
	}
	if err := g.Close(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("second Close = %v", err)
	}
}
