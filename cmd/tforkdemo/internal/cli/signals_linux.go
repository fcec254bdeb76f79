// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"os"
	"syscall"
)

var (
	// relayed go to a single command. Not among them: what is about ourselves
	// (CHLD, PIPE, URG, faults), and what stops us with our whole group (TSTP,
	// TTIN, TTOU).
	relayed = []os.Signal{
		syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM,
		syscall.SIGALRM, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGWINCH,
	}
	// typed are those of them that a terminal sends.
	typed = []os.Signal{syscall.SIGINT, syscall.SIGQUIT, syscall.SIGWINCH}
	// stops end a batch.
	stops = []os.Signal{syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM}
	// batchSignals also holds those that go to every child of a batch.
	batchSignals = append([]os.Signal{syscall.SIGUSR1, syscall.SIGUSR2}, stops...)
)
