// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !unix

package tfork

import (
	"syscall"
	"time"
)

func userTime(*syscall.Rusage) time.Duration   { return 0 }
func systemTime(*syscall.Rusage) time.Duration { return 0 }
func rusageTime(*syscall.Rusage) time.Duration { return 0 }
