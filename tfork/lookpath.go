// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package tfork

import "os/exec"

// Error is [exec.Error], the error of [LookPath].
type Error = exec.Error

// The standard library's own values, so that errors.Is holds for either name.
var (
	ErrNotFound  = exec.ErrNotFound
	ErrDot       = exec.ErrDot
	ErrWaitDelay = exec.ErrWaitDelay
)

// LookPath is [exec.LookPath].
func LookPath(file string) (string, error) { return exec.LookPath(file) }
