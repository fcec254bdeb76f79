// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package sys

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/seed-cb702d51/tfork-go/internal/testutil"
)

func TestWaitID_StatusEqualsWait4(t *testing.T) {
	tests := []struct{ name, script string }{
		{"exit 0", "exit 0"},
		{"exit 255", "exit 255"},
		{"terminated", "kill -TERM $$"},
		{"killed", "kill -KILL $$"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			start := func() int {
				p, err := os.StartProcess("/bin/sh", []string{"sh", "-c", tt.script}, &os.ProcAttr{})
				if err != nil {
					t.Fatal(err)
				}
				defer p.Release()
				return p.Pid
			}
			var want syscall.WaitStatus
			if _, err := syscall.Wait4(start(), &want, 0, nil); err != nil {
				t.Fatal(err)
			}
			pid := start()
			got, err := WaitID(unix.P_PID, pid, unix.WEXITED)
			if err != nil {
				t.Fatal(err)
			}
			if got.Pid != pid || got.Status != want {
				t.Errorf("WaitID = pid %d status %#x, want pid %d status %#x", got.Pid, got.Status, pid, want)
			}
			if got.Rusage.Maxrss == 0 {
				t.Error("no rusage")
			}
		})
	}
}

func TestWaitID_Errors(t *testing.T) {
	if _, err := WaitID(unix.P_PID, os.Getpid(), unix.WEXITED); err == nil || err.Error() != "waitid: no child processes" {
		t.Errorf("waiting for ourselves: %v", err)
	}
}

func TestSigchldIgnored(t *testing.T) {
	if SigchldIgnored() {
		t.Fatal("ignored at the start")
	}
	signal.Ignore(unix.SIGCHLD)
	// signal.Reset would leave it ignored: Notify installs the runtime's
	// handler again, Stop keeps it.
	restore := func() {
		c := make(chan os.Signal, 1)
		signal.Notify(c, unix.SIGCHLD)
		signal.Stop(c)
	}
	defer restore()
	if !SigchldIgnored() {
		t.Error("not seen as ignored")
	}
	if err := exec.Command("/bin/true").Run(); err == nil {
		t.Error("os/exec works although SIGCHLD is ignored: the test's premise is gone")
	}
	restore()
	if SigchldIgnored() {
		t.Error("still seen as ignored after it was restored")
	}
}

func TestCleanup_LastFirstAndOnce(t *testing.T) {
	var got []int
	var c Cleanup
	c.Add(func() { got = append(got, 1) })
	c.Add(func() { got = append(got, 2) })
	c.Run()
	c.Run()
	if len(got) != 2 || got[0] != 2 || got[1] != 1 {
		t.Errorf("ran %v, want [2 1]", got)
	}
	c.Add(func() { t.Error("ran although disarmed") })
	c.Disarm()
	c.Run()
}

// helperIgnored goes behind the runtime's back, which must not happen to the
// process of the tests.
var helperIgnored = testutil.Helper("sys ignores", func([]string) int {
	before := Ignored()
	set := uint64(1<<(unix.SIGUSR1-1) | 1<<(unix.SIGPROF-1) | 1<<(lastSignal-1))
	Ignore(set | 1<<(unix.SIGKILL-1)) // which the kernel refuses
	if got := Ignored(); before&set != 0 || got != before|set {
		fmt.Printf("ignored %#x, before %#x", got, before)
		return 1
	}
	return 0
})

func TestIgnored_WhatIgnoreWasGiven(t *testing.T) {
	c := exec.Command(testutil.Exe())
	c.Env = testutil.HelperEnv(helperIgnored)
	if out, err := c.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}
