// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package cgroup

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/seed-cb702d51/tfork-go/internal/testutil"
	"github.com/seed-cb702d51/tfork-go/tfork"
)

// bomb is a script of four shells that start double-forked sleepers without an
// end of their own, each in a session of its own. 3000 is the test's brake.
const bomb = `
b() { i=0; while [ $i -lt 750 ]; do (setsid sleep $1 >/dev/null 2>&1 &); i=$((i+1)); done; }
b $0 & b $0 & b $0 & b $0 & wait
exec sleep $0`

// sleepers finds the live processes of a bomb, wherever they are.
func sleepers(marker string) (pids []int) {
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, f := range files {
		if strings.Contains(testutil.ReadFile(f), "\x00"+marker+"\x00") {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(f)))
			pids = append(pids, pid)
		}
	}
	return pids
}

func TestKill_NothingEscapesAForkBomb(t *testing.T) {
	kills := []struct {
		name string
		kill func(g *Group) error
	}{
		{"cgroup.kill", (*Group).Kill},
		{"one by one", (*Group).killOneByOne},
		{"without a freezer", func(g *Group) error { return g.killListed(deadline(t)) }},
	}
	for _, k := range kills {
		t.Run(k.name, func(t *testing.T) {
			g := newGroup(t, newParent(t), Limits{})
			// A sub-group too: the worker may make some.
			sub, err := Create(g, "sub", Limits{})
			if err != nil {
				t.Fatal(err)
			}
			defer sub.Close()
			inner := mustStart(t, sub, "/bin/sleep", "100")
			marker := strconv.Itoa(1_000_000 + rand.IntN(1_000_000_000))
			outer := mustStart(t, g, "/bin/sh", "-c", bomb, marker)
			testutil.Poll(t, time.Minute, "200 descendants", func() bool {
				pids, err := g.Procs()
				return err == nil && len(pids) >= 200
			})
			if err := k.kill(g); err != nil {
				t.Fatal(err)
			}
			testutil.Poll(t, time.Minute, "the group is empty", func() bool {
				empty, err := g.empty()
				return err == nil && empty
			})
			if left := sleepers(marker); len(left) != 0 {
				t.Errorf("%d escaped: %v", len(left), left)
			}
			for _, c := range []*tfork.Cmd{inner, outer} {
				if err := c.Wait(); err == nil || !strings.Contains(err.Error(), "signal: killed") {
					t.Errorf("Wait = %v", err)
				}
			}
			if b := testutil.ReadFile(g.Path() + "/cgroup.freeze"); b != "0\n" {
				t.Errorf("cgroup.freeze = %q afterwards", b)
			}
		})
	}
}

func TestKill_RemovedIsNothingToDo(t *testing.T) {
	g := newGroup(t, newParent(t), Limits{})
	if err := g.Delete(deadline(t)); err != nil {
		t.Fatal(err)
	}
	if err := g.Kill(); err != nil {
		t.Errorf("Kill = %v", err)
	}
}

// TestKill_SparesItsCaller: the guard works on the group of this very process,
// so the test is over if it does not.
func TestKill_SparesItsCaller(t *testing.T) {
	parent := newParent(t)
	inner := newGroup(t, parent, Limits{})
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(parent.Path(), link); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, path string
		in         *Group
	}{
		{"itself", parent.Path(), parent},
		{"below", parent.Path(), inner},
		{"by another name", link, parent},
		{"below, by another name", link, inner},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := tfork.Command(testutil.Exe(), tt.path)
			c.Env = testutil.HelperEnv(helperKillOwn)
			c.Cgroup = tt.in.Dir()
			if out, err := c.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

var helperKillOwn = testutil.Helper("kill own group", func(args []string) int {
	g, err := Open(args[0])
	if err != nil {
		fmt.Println(err)
		return 1
	}
	if err := g.Kill(); !errors.Is(err, ErrSelf) {
		fmt.Println("Kill:", err)
		return 1
	}
	outOfSight := &Group{path: "/no/such/path", dir: g.dir}
	if err := outOfSight.Kill(); !errors.Is(err, ErrSelf) {
		fmt.Println("Kill, out of sight:", err)
		return 1
	}
	if err := g.Freeze(context.Background()); !errors.Is(err, ErrSelf) {
		fmt.Println("Freeze:", err)
		return 1
	}
	return 0
})

func TestFreeze_StopsAndThawGoesOn(t *testing.T) {
	g := newGroup(t, newParent(t), Limits{})
	c := mustStart(t, g, "/bin/sh", "-c", "while :; do :; done")
	defer c.Wait()
	defer c.Process.Kill()
	cpu := func() time.Duration {
		s, err := g.Sample()
		if err != nil {
			t.Fatal(err)
		}
		return s.CPUTime
	}
	testutil.Poll(t, time.Minute, "it runs", func() bool { return cpu() > 0 })
	if err := g.Freeze(deadline(t)); err != nil {
		t.Fatal(err)
	}
	if err := g.Check(); !errors.Is(err, ErrFrozen) {
		t.Errorf("Check of a frozen group = %v", err)
	}
	stopped := cpu()
	if now := cpu(); now != stopped {
		t.Errorf("it used %v while frozen", now-stopped)
	}
	if err := g.Thaw(); err != nil {
		t.Fatal(err)
	}
	testutil.Poll(t, time.Minute, "it runs again", func() bool { return cpu() > stopped })
	if err := g.Check(); err != nil {
		t.Errorf("Check after the thaw = %v", err)
	}
}

func TestKill_WorksWhileFrozen(t *testing.T) {
	g := newGroup(t, newParent(t), Limits{})
	c := mustStart(t, g, "/bin/sleep", "100")
	if err := g.Freeze(deadline(t)); err != nil {
		t.Fatal(err)
	}
	if err := g.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := c.Wait(); err == nil || !strings.Contains(err.Error(), "signal: killed") {
		t.Errorf("Wait = %v", err)
	}
}
