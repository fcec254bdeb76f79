// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package prefork

import (
	"os"
	"testing"

	"github.com/seed-cb702d51/tfork-go/internal/testutil"
	"github.com/seed-cb702d51/tfork-go/tfork"
)

// testServices are filled in beside the tests that use them.
var testServices []Service

func testService(s Service) string {
	testServices = append(testServices, s)
	return s.Name
}

func TestMain(m *testing.M) {
	for _, s := range testServices {
		Register(s)
	}
	// Race-built processes sleep for a second at exit, also the roles.
	os.Setenv("GORACE", "atexit_sleep_ms=0")
	testutil.Main(m, tfork.Dispatch, tfork.CloseIdle)
}
