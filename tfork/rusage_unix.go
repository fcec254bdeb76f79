// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package tfork

import (
	"syscall"
	"time"
)

func userTime(ru *syscall.Rusage) time.Duration   { return time.Duration(ru.Utime.Nano()) }
func systemTime(ru *syscall.Rusage) time.Duration { return time.Duration(ru.Stime.Nano()) }

func rusageTime(ru *syscall.Rusage) time.Duration { return userTime(ru) + systemTime(ru) }
