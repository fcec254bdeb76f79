// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package testutil

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Kill signals another process. Numbers that stand for more than one (0 is our
// own process group, -1 everybody) and init are refused: a test that has not
// found its process must not end its own run.
func Kill(pid int, sig unix.Signal) error {
	if pid <= 1 {
		return fmt.Errorf("testutil: kill: pid %d is no single process of ours", pid)
	}
	return unix.Kill(pid, sig)
}
