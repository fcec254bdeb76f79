// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package tether

import (
	"os/exec"
	"syscall"
)

// Tether makes the kernel end what cmd starts when the starting thread ends:
// the caller keeps it with runtime.LockOSThread until cmd.Wait has returned.
// The signal is SIGTERM, as it is when cmd's context ends, so that a program
// that started others can end them first; after cmd.WaitDelay it is SIGKILL.
func Tether(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
}
