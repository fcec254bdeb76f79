// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package testutil

import (
	"fmt"
	"os"
	"sync"
)

// helperKey is in the environment of a helper process, and only there: setting
// it in the test process itself would break go test -fuzz, whose workers are
// the same binary.
const helperKey = "TFORK_TEST_HELPER"

var (
	helperMu sync.Mutex
	helpers  = map[string]func(args []string) int{}
)

// Helper registers a program that the test binary can play. Call it in a
// variable declaration beside the test that uses it.
func Helper(name string, run func(args []string) int) string {
	helperMu.Lock()
	defer helperMu.Unlock()
	if helpers[name] != nil {
		panic("testutil: helper registered twice: " + name)
	}
	helpers[name] = run
	return name
}

// HelperEnv returns the environment in which this binary plays the helper; the
// program to start is [Exe]. Race-built children would sleep a second at exit.
func HelperEnv(name string, extra ...string) []string {
	return append(append(os.Environ(), helperKey+"="+name, "GORACE=atexit_sleep_ms=0"), extra...)
}

// HelperOnly is the one variable that makes this binary play the helper, for an
// environment that is not this process's own.
func HelperOnly(name string) string { return helperKey + "=" + name }

// Exe is the path of the test binary.
func Exe() string {
	exe, err := os.Executable()
	if err != nil {
		panic(err)
	}
	return exe
}

// runHelper plays the helper that the environment names, and does not return
// then.
func runHelper() {
	name, ok := os.LookupEnv(helperKey)
	if !ok {
		return
	}
	os.Unsetenv(helperKey)
	run := helpers[name]
	if run == nil {
		fmt.Fprintf(os.Stderr, "testutil: no helper %q in this binary\n", name)
		os.Exit(124)
	}
	os.Exit(run(os.Args[1:]))
}

// ExeForAnyUser names the test binary for a process that is started with
// another user's credentials: that user may not reach the directory it is in,
// but the link of the starting process leads to the file itself.
const ExeForAnyUser = "/proc/self/exe"
