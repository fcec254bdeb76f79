// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-cb702d51/tfork-go/internal/testutil"
)

// demo runs tforkdemo and returns its exit code and outputs.
func demo(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	bin := demoDir(t)
	cmd := exec.Command(filepath.Join(bin, "tforkdemo"), args...)
	cmd.Env = append(os.Environ(), demoEnv(bin)...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

func TestCgroup_CommandIsInsideAndNothingIsLeft(t *testing.T) {
	dir := testutil.Cgroup(t)
	for _, strategy := range []string{"direct", "waiter"} {
		t.Run(strategy, func(t *testing.T) {
			code, out, errs := demo(t, "run", "-v", "--strategy", strategy, "--cgroup", dir, "--",
				"sh", "-c", "cat /proc/self/cgroup; sleep 600 & exit 3")
			if code != 3 || !strings.Contains(out, filepath.Base(dir)+"/tfork-") || !strings.Contains(errs, "in its cgroup (") {
				t.Errorf("exit code %d, output:\n%s%s", code, out, errs)
			}
			if left, _ := filepath.Glob(dir + "/*/"); len(left) > 0 {
				t.Errorf("left behind: %q", left)
			}
		})
	}
}

func TestCgroup_BatchReportsPlacement(t *testing.T) {
	dir := testutil.Cgroup(t)
	code, out, errs := demo(t, "run", "-n", "4", "-p", "2", "--json", "--cgroup", dir, "--", "true")
	if code != 0 || strings.Count(out, `"oom_killed":false`) != 4 || strings.Count(out, `"placement":`) != 4 ||
		!strings.Contains(out, `"placements":{`) {
		t.Errorf("exit code %d, output:\n%s%s", code, out, errs)
	}
	if left, _ := filepath.Glob(dir + "/*/"); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

// TestCgroup_OOMIsTold needs the memory controller in the v2 hierarchy.
func TestCgroup_OOMIsTold(t *testing.T) {
	dir := testutil.Cgroup(t)
	hog := []string{"--memory-max", "32MiB", "--cgroup", dir, "--", "dd", "if=/dev/zero", "of=/dev/null", "count=1", "bs=256M"}
	code, out, errs := demo(t, append([]string{"run"}, hog...)...)
	if strings.Contains(errs, "controller not available") {
		if code != 126 {
			t.Errorf("exit code %d, want 126: %s", code, errs)
		}
		t.Skip(errs)
	}
	peak := "peak memory 3" // of 32 MiB
	if !testutil.KernelAtLeast("5.19") {
		peak = "peak memory unknown" // there is no memory.peak
	}
	if code != 137 || !strings.Contains(errs, "was killed by the OOM killer: "+peak) {
		t.Errorf("exit code %d, output:\n%s%s", code, out, errs)
	}
	code, out, errs = demo(t, append([]string{"run", "--json"}, hog...)...)
	if code != 1 || !strings.Contains(out, `"oom_killed":true`) || !strings.Contains(out, `"oom_killed":1`) {
		t.Errorf("exit code %d, output:\n%s%s", code, out, errs)
	}
	code, out, errs = demo(t, "run", "--json", "--memory-max", "32MiB", "--cgroup", dir, "--", "sh", "-c", "kill -9 $$")
	if code != 1 || !strings.Contains(out, `"oom_killed":false`) {
		t.Errorf("killed by itself: exit code %d, output:\n%s%s", code, out, errs)
	}
}
