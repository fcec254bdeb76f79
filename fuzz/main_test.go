// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package fuzz

import (
	"os"
	"testing"

	"github.com/seed-cb702d51/tfork-go/internal/testutil"
	"github.com/seed-cb702d51/tfork-go/tfork"
)

func TestMain(m *testing.M) {
	register()
	// Race-built processes sleep for a second at exit, also the roles.
	os.Setenv("GORACE", "atexit_sleep_ms=0")
	testutil.Main(m, tfork.Dispatch, settle)
}
