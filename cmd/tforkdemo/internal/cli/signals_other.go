// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package cli

import (
	"os"
	"syscall"
)

// What other systems have of signals_linux.go. Nothing can be started there, so
// nothing is relayed either.
var (
	relayed      = []os.Signal{os.Interrupt, syscall.SIGTERM}
	typed        = []os.Signal{os.Interrupt}
	stops        = []os.Signal{os.Interrupt, syscall.SIGTERM}
	batchSignals = stops
)
