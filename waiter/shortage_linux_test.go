// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package waiter

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/seed-cb702d51/tfork-go/internal/testutil"
)

// noTasks is a caller whose waiter gets no more tasks, or few, while a worker
// lives: bursts of starts want threads then.
var noTasks = testutil.Helper("no tasks", func([]string) int {
	var p Pool
	defer p.CloseIdle()
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
		fmt.Println(err)
		return 1
	}
	long := shell("read x; exit 3")
	long.Files[0] = uintptr(pipe[0])
	w, err := p.Spawn(long)
	if err != nil {
		fmt.Println("the worker that lives:", err)
		return 1
	}
	code := burstsUnderLimits(&p, w.WaiterPid())
	unix.Close(pipe[1])
	if status, _, err := w.Result(); err != nil || status != 3<<8 {
		fmt.Printf("the worker that lived: status %#x, %v\n", status, err)
		return 1
	}
	return code
})

// burstsUnderLimits fails if another waiter serves at the end.
func burstsUnderLimits(p *Pool, waiter int) (code int) {
	tasks := testutil.Threads(os.Getpid()) + testutil.Threads(waiter) + 1 // the user's
	for _, limit := range []int{1, tasks, tasks + 1, tasks + 2, tasks + 4, tasks + 8} {
		var old unix.Rlimit
		if err := unix.Prlimit(waiter, unix.RLIMIT_NPROC, nil, &old); err != nil {
			fmt.Println("prlimit:", err)
			return 1
		}
		unix.Prlimit(waiter, unix.RLIMIT_NPROC, &unix.Rlimit{Cur: uint64(limit), Max: old.Max}, nil)
		for range 5 {
			if err := burst(p, waiter); err != nil {
				fmt.Printf("limit %d, the user had %d tasks: %v\n", limit, tasks, err)
				code = 1
			}
		}
		unix.Prlimit(waiter, unix.RLIMIT_NPROC, &old, nil)
	}
	if err := burst(p, waiter); err != nil {
		fmt.Println("without a limit:", err)
		return 1
	}
	return code
}

// burst makes starts at once, which work or fail for want of a task.
func burst(p *Pool, waiter int) error {
	const starts = 16
	errs := make(chan error, starts)
	var all sync.WaitGroup
	for range starts {
		all.Go(func() {
			r := shell("")
			r.Path, r.Args = "/bin/true", []string{"true"}
			w, err := p.Spawn(r)
			if err == nil {
				if w.WaiterPid() != waiter {
					err = fmt.Errorf("waiter %d serves, not %d", w.WaiterPid(), waiter)
				} else {
					_, _, err = w.Result()
				}
			}
			if err != nil && err != syscall.EAGAIN {
				errs <- err
			}
		})
	}
	all.Wait()
	close(errs)
	return <-errs
}

// TestShortage_OfTasksKillsNoWaiter: a task more that the waiter's runtime could
// not have would be its end, and that of the status of a worker that lives. Where
// the machine is busy beyond measure, the runtime may find all its threads on the
// way to sleep, and want another one; but not time after time.
func TestShortage_OfTasksKillsNoWaiter(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs a user with no other process: only root can become one")
	}
	for range 5 {
		c := exec.Command("/proc/self/exe")
		c.Env = testutil.HelperEnv(noTasks)
		c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 1<<20 + rand.Uint32N(1<<24), Gid: 54321}}
		c.Dir = "/"
		out, err := c.CombinedOutput()
		if err == nil {
			return
		}
		t.Logf("%v\n%s", err, out)
	}
	t.Error("the waiter died five times in a row")
}
