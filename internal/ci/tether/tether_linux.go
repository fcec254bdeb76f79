// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package tether

import (
	"os/exec"
	"syscall"
)

// Tether makes the kernel end what cmd starts when the starting thread ends:
// the caller keeps it with runtime.LockOSThread until cmd.Wait has returned.
func Tether(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
