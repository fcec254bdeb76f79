// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package fuzz

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-cb702d51/tfork-go/cgroup"
	"github.com/seed-cb702d51/tfork-go/internal/testutil"
	"github.com/seed-cb702d51/tfork-go/pidfd"
	"github.com/seed-cb702d51/tfork-go/tfork"
)

// cgroupFaults are the system calls of a start in a cgroup that no other start
// makes. Not among them is rmdir: what cannot be removed stays.
var cgroupFaults = []fault{
	{"mkdirat", unix.SYS_MKDIRAT, unix.ENOSPC},
	{"fstatfs", unix.SYS_FSTATFS, unix.EIO},
}

// faultyWrite is a write to a file of a cgroup: see ours.
var faultyWrite = fault{"write", unix.SYS_WRITE, unix.ENODEV}

// tries returns how to make a start: plainly, or in a cgroup below the one named.
func tries(groups []string) (try func(way) string, below string) {
	if len(groups) == 0 {
		return attempt, ""
	}
	parent, err := cgroup.Open(groups[0])
	if err != nil {
		panic(err)
	}
	return func(w way) string { return attemptIn(parent, w) }, parent.Path()
}

// attemptIn is attempt in a cgroup of the worker's own, which is made before it
// and removed after it.
func attemptIn(parent *cgroup.Group, w way) (outcome string) {
	c, out := busyCommand(w, true)
	job, err := cgroup.Start(c.(ourCmd).Cmd, cgroup.Options{Parent: parent})
	if err != nil {
		return "Start: " + err.Error()
	}
	err = job.Wait()
	outcome = fmt.Sprintf("Wait: %v, output %q", err, out)
	if _, err := job.Sample(); err != nil {
		outcome += "; Sample: " + err.Error()
	}
	return outcome
}

const (
	born   = "born"
	joined = "joined" // what is done where clone3 is forbidden
)

// forbidClone3 makes workers join their cgroups by themselves.
func forbidClone3() error {
	if err := findFault("clone3").inject(true); err != nil {
		return err
	}
	if pidfd.HaveIntoCgroup() == nil {
		return errors.New("clone3 is forbidden, and yet a worker can be born in a cgroup")
	}
	return nil
}

// faultyJobs makes each system call fail in turn on the thread that starts a
// worker in a cgroup.
var faultyJobs = testutil.Helper("faulty jobs", func(args []string) int {
	w := wayNamed(args[0])
	time.AfterFunc(testutil.Scaled(10*patience), func() { panic("hangs") })
	if args[1] == joined {
		if err := forbidClone3(); err != nil {
			fmt.Println(err)
			return 3
		}
	}
	warmThreads()
	if err := works(w); err != nil {
		fmt.Println(err)
		return 1
	}
	try, groups := tries(args[2:])
	tfork.CloseIdle()
	all := slices.DeleteFunc(slices.Concat(cgroupFaults, faults), func(f fault) bool {
		return f.name == "wait4" // a shell that does not wait for what is killed with it
	})
	return eachFault(w, takeInventory(groups), all, []round{
		{"in a cgroup", []string{direct.name, dedicated.name}, false, try},
		{"in a cgroup, waiter there", []string{shared.name}, true, try},
	})
})

// TestFault_SystemCallsInACgroup: what TestFault_SystemCallsOfStart promises, and
// no cgroup is left.
func TestFault_SystemCallsInACgroup(t *testing.T) {
	for _, w := range ourWays(t) {
		for _, place := range []string{born, joined} {
			t.Run(w.name+"/"+place, func(t *testing.T) {
				forLong(t, w)
				runHelper(t, faultyJobs, w.name, place, testutil.Cgroup(t))
			})
		}
	}
}

// TestFault_FewDescriptorsInACgroup: RLIMIT_NOFILE from "nothing left" to
// "works".
func TestFault_FewDescriptorsInACgroup(t *testing.T) {
	for _, w := range ourWays(t) {
		t.Run(w.name, func(t *testing.T) {
			runHelper(t, fewDescriptors, w.name, testutil.Cgroup(t))
		})
	}
}

// TestFault_NthCallInACgroup: each single call, in the order in which they come.
func TestFault_NthCallInACgroup(t *testing.T) {
	for _, w := range ourWays(t) {
		t.Run(w.name, func(t *testing.T) {
			forLong(t, w)
			for _, name := range []string{"openat", "write", "mkdirat"} {
				t.Run(name, func(t *testing.T) { failEachCall(t, w.name, name, testutil.Cgroup(t)) })
			}
		})
	}
}
