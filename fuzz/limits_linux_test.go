// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package fuzz

import (
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/seed-cb702d51/tfork-go/internal/testutil"
	"github.com/seed-cb702d51/tfork-go/tfork"
)

// fewDescriptors starts with no room for descriptors, and then with a little
// more each time.
var fewDescriptors = testutil.Helper("few descriptors", func(args []string) int {
	w := wayNamed(args[0])
	try, groups := tries(args[1:])
	if err := firstStart(w); err != nil {
		fmt.Println(err)
		return 1
	}
	return underLimits(w, limits{unix.RLIMIT_NOFILE, upTo(uint64(len(testutil.FDs())-2), 22, 1), unix.EMFILE, try, groups})
})

// firstStart makes a start that must work, and what the process has for good from
// then on.
func firstStart(w way) error {
	defer watchdog("the first start").Stop()
	warmThreads()
	return works(w)
}

// limits are the values of a resource limit that are tried in turn.
type limits struct {
	resource int
	values   []uint64
	want     unix.Errno // what the system says then
	try      func(way) string
	groups   string // as in inventory
}

// upTo are the numbers from one on, so many steps.
func upTo(from uint64, steps, stride int) (values []uint64) {
	for i := 0; i <= steps; i += stride {
		values = append(values, from+uint64(i))
	}
	return values
}

// underLimits makes a start under each limit, judges its outcome, and makes one
// without. At least one limit must be too low, and one enough.
func underLimits(w way, l limits) (code int) {
	tfork.CloseIdle()
	before := takeInventory(l.groups)
	var old unix.Rlimit
	unix.Getrlimit(l.resource, &old)
	failed, worked := 0, 0
	for _, limit := range l.values {
		// Longer than what is left is looked for, so that it is named.
		hangs := watchdog(fmt.Sprint("limit ", limit))
		if err := unix.Setrlimit(l.resource, &unix.Rlimit{Cur: limit, Max: old.Max}); err != nil {
			fmt.Println("setrlimit:", err)
			return 1
		}
		outcome := l.try(w)
		unix.Setrlimit(l.resource, &old)
		if strings.Contains(outcome, "exit status 7") {
			worked++
		} else {
			failed++
		}
		fmt.Printf("limit %d: %s\n", limit, outcome)
		if !(fault{errno: l.want}).survived(w, before, outcome) {
			code = 1
		}
		tfork.CloseIdle()
		hangs.Stop()
	}
	if failed == 0 || worked == 0 {
		fmt.Printf("%d failed, %d worked: the limits are not those that matter\n", failed, worked)
		return 1
	}
	return code
}

// TestFault_FewDescriptors: RLIMIT_NOFILE from "nothing left" to "works".
func TestFault_FewDescriptors(t *testing.T) {
	for _, w := range ourWays(t) {
		t.Run(w.name, func(t *testing.T) {
			runHelper(t, fewDescriptors, w.name)
		})
	}
}

// fewProcesses does the same with RLIMIT_NPROC, as a user who has nothing else
// running.
var fewProcesses = testutil.Helper("few processes", func(args []string) int {
	w := wayNamed(args[0])
	if err := firstStart(w); err != nil {
		fmt.Println(err)
		return 1
	}
	tfork.CloseIdle()
	stride := 1
	if os.Getenv(longKey) == "" {
		stride = 6 // most values hit the waiter's threads, one like the other
	}
	return underLimits(w, limits{unix.RLIMIT_NPROC, upTo(uint64(testutil.Threads(os.Getpid())), 42, stride), unix.EAGAIN, attempt, ""})
})

// TestFault_FewProcesses: RLIMIT_NPROC, which root does not feel.
func TestFault_FewProcesses(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs a user with no other process: only root can become one")
	}
	for _, w := range ourWays(t) {
		t.Run(w.name, func(t *testing.T) {
			forLong(t, w)
			user := &syscall.Credential{Uid: 1<<20 + rand.Uint32N(1<<24), Gid: 54321}
			c := tfork.Command("/proc/self/exe", w.name)
			c.Strategy = tfork.Direct
			c.Env, c.SysProcAttr = testutil.HelperEnv(fewProcesses), &syscall.SysProcAttr{Credential: user}
			c.Dir = "/"
			out, err := c.CombinedOutput()
			if err != nil {
				t.Errorf("%v\n%s", err, out)
			} else {
				t.Logf("%s", out)
			}
		})
	}
}

// smallFiles does the same with RLIMIT_FSIZE, below and above what the memory
// files of a start need: its signal, SIGXFSZ, would end the program.
var smallFiles = testutil.Helper("small files", func(args []string) int {
	w := wayNamed(args[0])
	if err := firstStart(w); err != nil {
		fmt.Println(err)
		return 1
	}
	return underLimits(w, limits{unix.RLIMIT_FSIZE, []uint64{0, 1, 4096, 200_000, 1 << 20}, unix.EFBIG, attempt, ""})
})

// TestFault_SmallFiles: RLIMIT_FSIZE, of which Direct needs nothing.
func TestFault_SmallFiles(t *testing.T) {
	for _, w := range ourWays(t) {
		t.Run(w.name, func(t *testing.T) {
			if w.name == direct.name {
				t.Skip("makes no file")
			}
			runHelper(t, smallFiles, w.name)
		})
	}
}

// littleMemory does the same with RLIMIT_AS. What this process has mapped stays,
// and is enough for it; what it starts gets no more than the limit.
var littleMemory = testutil.Helper("little memory", func(args []string) int {
	w := wayNamed(args[0])
	room := make([]byte, 256<<20)
	for i := 0; i < len(room); i += 4096 {
		room[i] = 1
	}
	room = nil
	runtime.GC()
	debug.SetGCPercent(-1) // a collection maps memory of its own
	if err := firstStart(w); err != nil {
		fmt.Println(err)
		return 1
	}
	tfork.CloseIdle()
	return underLimits(w, limits{unix.RLIMIT_AS, []uint64{1 << 20, 8 << 20, 64 << 20, 512 << 20, 1 << 42}, unix.ENOMEM, attempt, ""})
})

// TestFault_LittleMemory: a waiter and workers that cannot come up. Where the
// caller's own runtime gets no memory it ends the caller, which says nothing about
// a start: that is tried again.
func TestFault_LittleMemory(t *testing.T) {
	if testutil.Race() {
		t.Skip("the race detector maps memory all the time, and ends the program where it gets none")
	}
	for _, w := range ourWays(t) {
		t.Run(w.name, func(t *testing.T) {
			for range 9 {
				out, end := underInit(t, littleMemory, w.name)
				if !strings.Contains(out, "fatal error: runtime: cannot allocate memory") {
					judgeHelper(t, out, end)
					return
				}
				t.Log(out[:strings.Index(out, "fatal error")], "and then the caller's runtime got no memory")
			}
			t.Error("the caller's runtime got no memory nine times in a row")
		})
	}
}
