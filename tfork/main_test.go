// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package tfork

import (
	"os"
	"testing"

	"github.com/seed-cb702d51/tfork-go/internal/testutil"
)

// testFuncs are the worker functions of the tests; each is filled in beside
// the test that uses it.
var testFuncs = map[string]func(*Worker) int{}

func testFunc(name string, run func(*Worker) int) string {
	testFuncs[name] = run
	return name
}

func TestMain(m *testing.M) {
	for name, run := range testFuncs {
		Register(name, run)
	}
	// Race-built processes sleep for a second at exit, also the roles.
	os.Setenv("GORACE", "atexit_sleep_ms=0")
	testutil.Main(m, Dispatch, settle)
}
