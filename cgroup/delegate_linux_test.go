// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package cgroup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-cb702d51/tfork-go/internal/testutil"
	"github.com/seed-cb702d51/tfork-go/tfork"
)

// helperDelegated uses what is delegated to it: leaf, group, worker, the end.
// It prints what it found, or the error.
var helperDelegated = testutil.Helper("use the delegation", func([]string) int {
	if err := useDelegation(); err != nil {
		fmt.Println(err)
		if errors.Is(err, ErrNoDelegation) {
			return 3
		}
		return 1
	}
	return 0
})

func useDelegation() error {
	parent, err := Delegated()
	if err != nil {
		return err
	}
	defer parent.Close()
	if err := parent.EnterLeaf(); err != nil {
		return fmt.Errorf("EnterLeaf: %w", err)
	}
	again, err := Delegated()
	if err != nil {
		return err
	}
	defer again.Close()
	if again.Path() != parent.Path() {
		return fmt.Errorf("from the leaf, Delegated = %s, was %s", again.Path(), parent.Path())
	}
	limits := Limits{}
	if have, _ := words(filepath.Join(parent.Path(), "cgroup.controllers")); strings.Contains(strings.Join(have, " "), "pids") {
		limits.PidsMax = 10
	}
	g, err := Create(again, "job-*", limits)
	if err != nil {
		return fmt.Errorf("Create: %w", err)
	}
	defer g.Close()
	c, err := startIn(g, "/bin/sleep", "100")
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := errors.Join(g.Kill(), g.Delete(ctx)); err != nil {
		return err
	}
	c.Wait()
	fmt.Println(parent.Path())
	return nil
}

// asNobody runs the helper as an ordinary user in a cgroup.
func asNobody(t *testing.T, in *Group) (out string, code int) {
	t.Helper()
	const nobody = 65534
	c := tfork.Command(testutil.ExeForAnyUser)
	c.Env = testutil.HelperEnv(helperDelegated)
	c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	c.Cgroup = in.Dir()
	b, err := c.CombinedOutput()
	var ee *tfork.ExitError
	if err != nil && !errors.As(err, &ee) {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(b)), c.ProcessState.ExitCode()
}

func TestDelegated_OrdinaryUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to hand a cgroup to another user")
	}
	g := newParent(t)
	out, code := asNobody(t, g)
	if code != 3 || !strings.Contains(out, "chown") {
		t.Errorf("without delegation: exit code %d, %s", code, out)
	}
	const nobody = 65534
	for _, name := range []string{"", "cgroup.procs", "cgroup.subtree_control", "cgroup.threads"} {
		if err := os.Chown(filepath.Join(g.Path(), name), nobody, nobody); err != nil {
			t.Fatal(err)
		}
	}
	out, code = asNobody(t, g)
	if code != 0 || out != g.Path() {
		t.Errorf("with delegation: exit code %d, %s", code, out)
	}
}

// TestDelegated_Here holds whatever this test process has: either it can be
// used, or the error says what to do.
func TestDelegated_Here(t *testing.T) {
	testutil.CgroupMount(t)
	g, err := Delegated()
	if err != nil {
		if !errors.Is(err, ErrNoDelegation) {
			t.Errorf("Delegated = %v", err)
		}
		t.Skip(err)
	}
	defer g.Close()
	if _, err := os.Stat(filepath.Join(g.Path(), "cgroup.procs")); err != nil {
		t.Error(err)
	}
}

// TestDelegatedAbove_SystemdLayouts plays the directories that systemd makes;
// a delegated unit is one that carries its mark.
func TestDelegatedAbove_SystemdLayouts(t *testing.T) {
	tests := []struct {
		name, own, marked string
		want              string // "" for none
	}{
		{"service with Delegate", "system.slice/a.service", "system.slice/a.service", "system.slice/a.service"},
		{"service without", "system.slice/a.service", "", ""},
		{"DelegateSubgroup", "system.slice/a.service/sub", "system.slice/a.service", "system.slice/a.service"},
		{"in our own leaf", "system.slice/a.service/tfork-leaf", "system.slice/a.service", "system.slice/a.service"},
		{"unit of a user's manager, not delegated", "user.slice/user@1.service/app.slice/b.scope", "user.slice/user@1.service", ""},
		{"unit of a user's manager, delegated", "user.slice/user@1.service/app.slice/b.scope", "user.slice/user@1.service/app.slice/b.scope", "user.slice/user@1.service/app.slice/b.scope"},
		{"unit of our own user's manager", "user.slice/user@0.service/app.slice/b.scope/sub", "", "user.slice/user@0.service/app.slice/b.scope"},
		{"our own user's manager", "user.slice/user@0.service", "", ""},
		{"session", "user.slice/user-0.slice/session-1.scope", "", ""},
		{"the root", "", "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if os.Geteuid() != 0 {
				t.Skip("needs root: for others the owner counts as a mark")
			}
			mount := t.TempDir()
			for _, d := range []string{"init.scope", tt.own} {
				if err := os.MkdirAll(filepath.Join(mount, d), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			own := filepath.Join(mount, tt.own)
			for _, f := range []string{"cgroup.procs", "cgroup.subtree_control"} {
				for dir := own; dir != mount; dir = filepath.Dir(dir) {
					if err := os.WriteFile(filepath.Join(dir, f), nil, 0o644); err != nil {
						t.Fatal(err)
					}
				}
			}
			if tt.marked != "" {
				if err := syscall.Setxattr(filepath.Join(mount, tt.marked), "trusted.delegate", []byte("1"), 0); err != nil {
					t.Skipf("this file system keeps no trusted attributes: %v", err)
				}
			}
			got, err := delegatedAbove(mount, own)
			if tt.want == "" {
				if !errors.Is(err, ErrNoDelegation) || !strings.Contains(err.Error(), "Delegate=yes") {
					t.Errorf("delegatedAbove = %q, %v", got, err)
				}
				return
			}
			if err != nil || got != filepath.Join(mount, tt.want) {
				t.Errorf("delegatedAbove = %q, %v, want %s", got, err, tt.want)
			}
		})
	}
}

func TestV1Controllers(t *testing.T) {
	tests := []struct {
		name, text string
		want       []string
	}{
		{"hybrid", "9:name=systemd:/\n5:memory:/\n4:cpu,cpuacct:/x\n0::/y\n", []string{"cpu", "cpuacct", "memory"}},
		{"v2 alone", "0::/y\n", nil},
		{"garbage", "cpu\n\n1:\n", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if d := cmp.Diff(tt.want, v1Controllers(tt.text)); d != "" {
				t.Errorf("-want +got\n%s", d)
			}
		})
	}
}

// TestProbe_AgreesWithUse: what Probe says is what the calls then do.
func TestProbe_AgreesWithUse(t *testing.T) {
	mount := testutil.CgroupMount(t)
	h := Probe()
	if h.Err != nil || h.Mount != mount || h.Own == "" {
		t.Fatalf("Probe = %+v", h)
	}
	g, err := Delegated()
	if (err == nil) != (h.DelegatedErr == nil) {
		t.Fatalf("Delegated: %v, Probe: %v", err, h.DelegatedErr)
	}
	if err == nil {
		defer g.Close()
		if g.Path() != h.Delegated {
			t.Errorf("Delegated = %s, Probe says %s", g.Path(), h.Delegated)
		}
	}
	for _, c := range h.V1Controllers {
		if slices.Contains(h.Controllers, c) {
			t.Errorf("%s is said to be in both hierarchies", c)
		}
		if !slices.Contains(h.Missing(), c) && slices.Contains([]string{"memory", "pids", "cpu", "io", "cpuset"}, c) {
			t.Errorf("%s is in v1 and not said to be missing", c)
		}
	}
}
