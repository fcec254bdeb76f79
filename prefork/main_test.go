// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package prefork

import (
	"errors"
	"flag"
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
	// An example cannot skip itself where there are no servers.
	if _, err := Processes(os.TempDir()); errors.Is(err, errors.ErrUnsupported) {
		flag.Set("test.skip", "^Example")
	}
	testutil.Main(m, tfork.Dispatch, tfork.CloseIdle)
}
