// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package cgroup

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/seed-cb702d51/tfork-go/internal/testutil"
	"github.com/seed-cb702d51/tfork-go/tfork"
)

// TestKill_NumbersThatComeAgain: where there are 32 numbers, a process that forks
// and ends, for ever, soon has one that was killed before.
func TestKill_NumbersThatComeAgain(t *testing.T) {
	if !testutil.KernelAtLeast("6.14") {
		t.Skip("before Linux 6.14, kernel.pid_max is that of the whole machine")
	}
	parent := newParent(t)
	c := tfork.Command(testutil.Exe(), parent.Path(), strconv.Itoa(testutil.Fewer(40)))
	c.Env, c.SysProcAttr = testutil.HelperEnv(helperFewNumbers), testutil.PID1(t)
	switch out, err := c.CombinedOutput(); {
	case err == nil && len(out) != 0:
		t.Skipf("%s", out)
	case err != nil:
		t.Errorf("%v\n%s", err, out)
	}
}

// The namespace uses up the numbers below 300 once: the kernel never gives those
// out again.
const useUpNumbers = `i=0; while [ $i -lt 340 ]; do (:); i=$((i+1)); done`

var helperFewNumbers = testutil.Helper("few numbers", func(args []string) int {
	testutil.MustBePID1()
	signal.Ignore(syscall.SIGCHLD) // so that orphans leave their numbers at once
	if err := os.WriteFile("/proc/sys/kernel/pid_max", []byte("332"), 0); err != nil {
		fmt.Println("no kernel.pid_max of our own:", err)
		return 0
	}
	g, err := Open(args[0])
	if err != nil {
		fmt.Println(err)
		return 1
	}
	rounds, _ := strconv.Atoi(args[1])
	runIn(nil, useUpNumbers)
	for i := range rounds {
		for range 4 {
			runIn(g.Dir(), "f() { g & exit; }; g() { f & exit; }; f")
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		err := g.killListed(ctx)
		cancel()
		if empty, _ := g.empty(); err != nil || !empty {
			fmt.Printf("round %d: killed, with %v; cgroup.events:\n%s", i, err, testutil.ReadFile(g.Path()+"/cgroup.events"))
			return 1
		}
	}
	return 0
})

// runIn runs a script and waits for the first process of it. With so few numbers
// that one may not start, and with SIGCHLD ignored nobody knows how it ended.
func runIn(dir *os.File, script string) {
	c := tfork.Command("/bin/sh", "-c", script)
	c.Strategy, c.Cgroup = tfork.Direct, dir
	c.Run()
}
