// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package waiter

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-cb702d51/tfork-go/internal/testutil"
)

// TestWatch_StoppedWaiterReportsEnds: a worker's end is seen within a bounded
// time although the waiter was stopped, and nobody asks it anything.
func TestWatch_StoppedWaiterReportsEnds(t *testing.T) {
	pool := newPool(t)
	w := spawnLive(t, pool, nil)
	stop(t, w.WaiterPid())
	if err := testutil.Kill(w.Pid(), unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	select {
	case <-w.Done():
	case <-time.After(30 * time.Second):
		t.Fatal("the end of the worker is not seen")
	}
	if ws, _, err := w.Result(); err != nil || ws.Signal() != unix.SIGKILL {
		t.Errorf("Result = %v, %v", ws, err)
	}
}

// stop stops a process and returns when it is.
func stop(t *testing.T, pid int) {
	t.Helper()
	if err := testutil.Kill(pid, unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	testutil.Poll(t, 30*time.Second, "waiter is stopped", func() bool { return testutil.StateOf(pid) == "T" })
}

func TestStopped_TellsStates(t *testing.T) {
	p, err := os.StartProcess("/bin/sleep", []string{"sleep", "1000"}, &os.ProcAttr{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { p.Kill(); p.Wait() }()
	if stopped(p.Pid) {
		t.Error("stopped from the start")
	}
	stop(t, p.Pid)
	if !stopped(p.Pid) {
		t.Error("a stopped process is not seen")
	}
	if stopped(1 << 30) {
		t.Error("no process is stopped")
	}
}

// TestSpawn_RequestBeyondTheFileSizeLimit: an error, where a write to a memory
// file would end the program.
func TestSpawn_RequestBeyondTheFileSizeLimit(t *testing.T) {
	c := exec.Command(testutil.Exe())
	c.Env = testutil.HelperEnv(smallFiles)
	runHelper(t, c)
}

var smallFiles = testutil.Helper("caller that may write small files only", func([]string) int {
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: 1000, Max: 1000}); err != nil {
		fmt.Println(err)
		return 1
	}
	var p Pool
	defer p.CloseIdle()
	r := shell("exit 0")
	for range 8 {
		r.Args = append(r.Args, strings.Repeat("x", 60_000))
	}
	if _, err := p.Spawn(r); !errors.Is(err, unix.EFBIG) {
		fmt.Printf("Spawn = %v, want EFBIG\n", err)
		return 1
	}
	return 0
})
