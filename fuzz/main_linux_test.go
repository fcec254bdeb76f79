// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package fuzz

import (
	"os"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-cb702d51/tfork-go/internal/testutil"
	"github.com/seed-cb702d51/tfork-go/tfork"
)

// patience is how long anything may take that should be over at once.
const patience = 30 * time.Second

// longKey is set in the environment for the long forms of these tests.
const longKey = "TFORK_LONG"

// forLong skips what takes long and adds little: a waiter of its own does what a
// shared one does.
func forLong(t *testing.T, w way) {
	t.Helper()
	if w.name == dedicated.name && os.Getenv(longKey) == "" {
		t.Skip("takes long: set ", longKey)
	}
}

// register makes the worker functions of these tests known to every process.
func register() {
	tfork.Register(echoName, echo)
	// What the process that runs the tests forgot to close would reach a child
	// of ours, and not a waiter's: difference "inheritable descriptors".
	for fd := range testutil.InheritableFDs() {
		if n, _ := strconv.Atoi(fd); n > 2 {
			unix.CloseOnExec(n)
		}
	}
}

// settle ends what is kept on purpose.
func settle() { tfork.CloseIdle() }
