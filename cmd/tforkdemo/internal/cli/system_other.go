// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package cli

import (
	"io"
	"io/fs"
	"runtime"
)

func isTerminal(io.Writer) bool { return false }

func inForeground() bool { return false }

func ours(fs.FileInfo) bool { return true } // there are no servers to look for

func kernel() string { return runtime.GOOS }
