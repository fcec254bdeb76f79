// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package cgroupfs

import (
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/seed-cb702d51/tfork-go/internal/testutil"
)

func TestMove(t *testing.T) {
	dir := testutil.Cgroup(t)
	fd := open(t, dir)
	c := exec.Command("/bin/sleep", "100")
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	defer c.Wait()
	defer c.Process.Kill()
	if err := Move(fd, c.Process.Pid); err != nil {
		t.Fatal(err)
	}
	if got, want := strings.TrimSpace(testutil.ReadFile(dir+"/cgroup.procs")), fmt.Sprint(c.Process.Pid); got != want {
		t.Errorf("cgroup.procs = %q, want %q", got, want)
	}
	if err := Move(fd, 1<<30); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("a process that does not exist: %v", err)
	}
}
