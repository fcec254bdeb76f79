// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package cli

import (
	"io"
	"runtime"
)

func isTerminal(io.Writer) bool { return false }

func inForeground() bool { return false }

func kernel() string { return runtime.GOOS }
