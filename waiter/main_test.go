// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package waiter

import (
	"os"
	"testing"

	"github.com/seed-cb702d51/tfork-go/internal/role"
	"github.com/seed-cb702d51/tfork-go/internal/testutil"
)

// pool is the one that tests share unless they need their own.
var pool Pool

func TestMain(m *testing.M) { testutil.Main(m, playRole, pool.CloseIdle) }

// playFaulty serves and does not return where a waiter is told to fail.
var playFaulty = func(fd int) {}

// playRole is what tfork.Dispatch does in a program.
func playRole() {
	r, ok, err := role.Take()
	switch {
	case !ok:
	case err != nil, r.Kind != role.Waiter:
		os.Exit(role.ExitRefused)
	default:
		playFaulty(r.FD)
		Serve(r.FD)
	}
}
