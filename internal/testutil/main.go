// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package testutil

import (
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"testing"
	"time"
)

// Main is the body of a package's TestMain: roles first (the test binary plays
// every process), then the tests, then the count of what they left behind.
//
//	func TestMain(m *testing.M) { testutil.Main(m, tfork.Dispatch) }
//
// dispatch, which may be nil, is called before anything else; settle, called
// after the tests until nothing is left, ends what the package keeps on purpose (a
// waiter, which is idle only when the last worker has ended).
func Main(m *testing.M, dispatch func(), settle ...func()) {
	if dispatch != nil {
		dispatch()
	}
	runHelper()
	flag.Parse()
	unignore()
	before := takeCensus()
	code := m.Run()
	// Fuzzing and benchmark runs start processes of the testing package's own.
	if code == 0 && flag.Lookup("test.fuzz").Value.String() == "" {
		if leaks := before.leaksWithin(10*time.Second, settle...); leaks != "" {
			fmt.Fprintf(os.Stderr, "tests left behind:\n%s", leaks)
			code = 1
		}
	}
	os.Exit(code)
}

// unignore undoes what nohup, or a shell that runs us in the background, has
// done to the programs that tests start: an ignored signal stays ignored across
// execve, and a shell cannot even trap it. A caught one is at its default there.
func unignore() {
	for _, sig := range []os.Signal{syscall.SIGHUP, os.Interrupt} {
		if signal.Ignored(sig) {
			signal.Notify(make(chan os.Signal, 1), sig)
		}
	}
}

// Poll calls ok until it is true, for at most d, and fails the test then.
func Poll(t testing.TB, d time.Duration, what string, ok func() bool) {
	t.Helper()
	if !PollFor(d, ok) {
		t.Fatalf("not within %v: %s", d, what)
	}
}

// PollFor calls ok until it is true, for at most d ([Scaled]), and tells which
// it was.
func PollFor(d time.Duration, ok func() bool) bool {
	pause := 50 * time.Microsecond
	for deadline := time.Now().Add(Scaled(d)); ; {
		if ok() {
			return true
		}
		if time.Now().After(deadline) {
			return false
		}
		time.Sleep(pause)
		pause = min(2*pause, 20*time.Millisecond)
	}
}
