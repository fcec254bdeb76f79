// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package pidfd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/seed-cb702d51/tfork-go/internal/testutil"
)

// TestWait_NotOurChild: a grandchild that its own parent reaps.
func TestWait_NotOurChild(t *testing.T) {
	needExitInfo(t)
	c := sh(t, "exec 3<&0; (read x <&3; exit 23) & echo $!; wait; read y; exit 0")
	f := mustOpen(t, c.sayPid(t))
	if _, err := f.TryWait(); !errors.Is(err, ErrRunning) || !errors.Is(err, syscall.EAGAIN) {
		t.Errorf("TryWait while it runs = %v, want ErrRunning and EAGAIN", err)
	}
	if _, err := c.stdin.WriteString("x\n"); err != nil {
		t.Fatal(err)
	}
	got, err := f.Wait(soon(t))
	if err != nil || got.Status != exited(23) || got.Source != ExitInfo || got.Rusage != nil {
		t.Errorf("Wait = %v, %v, want exit status 23 by exit info", got, err)
	}
}

// TestWait_NotOurChildBefore615 holds what older kernels can do.
func TestWait_NotOurChildBefore615(t *testing.T) {
	if HaveExitInfo() == nil {
		t.Skip("this kernel can tell")
	}
	c := sh(t, "exec 3<&0; (read x <&3; exit 23) & echo $!; wait; read y; exit 0")
	f := mustOpen(t, c.sayPid(t))
	if _, err := c.stdin.WriteString("x\n"); err != nil {
		t.Fatal(err)
	}
	if got, err := f.Wait(soon(t)); !errors.Is(err, ErrStatusUnknown) || !errors.Is(err, ErrNotSupported) {
		t.Errorf("Wait = %v, %v, want ErrStatusUnknown and ErrNotSupported", got, err)
	}
}

// TestWait_ForeignZombie: a zombie has no status for others, until it is
// reaped.
func TestWait_ForeignZombie(t *testing.T) {
	needExitInfo(t)
	// exec: the shell becomes a program that does not reap what it inherits.
	// Until then it may.
	c := sh(t, "exec 3<&0; (read x <&3; exit 9) & echo $!; exec sleep 1000")
	pid := c.sayPid(t)
	f := mustOpen(t, pid)
	testutil.Poll(t, patience, "the shell is gone", func() bool { return isSleep(c.pid) })
	c.stdin.Close()
	testutil.Poll(t, patience, "a zombie", func() bool { return testutil.StateOf(pid) == "Z" })
	if _, err := f.TryWait(); err != ErrRunning {
		t.Errorf("TryWait of a foreign zombie = %v, want ErrRunning", err)
	}
	if _, err := f.ExitInfo(); err != ErrRunning {
		t.Errorf("ExitInfo of a foreign zombie = %v, want ErrRunning", err)
	}
	got := make(chan Exit, 1)
	go func() {
		exit, err := f.Wait(soon(t))
		if err != nil {
			t.Errorf("Wait: %v", err)
		}
		got <- exit
	}()
	// Its parent's end hands it to a reaper (pid 1, or a subreaper).
	if err := c.Signal(unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if exit := <-got; exit.Status != exited(9) {
		t.Errorf("Wait = %v, want exit status 9", exit)
	}
}

// isSleep tells whether the process has become sleep(1).
func isSleep(pid int) bool {
	comm, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	return string(comm) == "sleep\n"
}

var adopter = testutil.Helper("adopt a zombie", func([]string) int {
	if err := adoptZombie(); err != nil {
		os.Stderr.WriteString(err.Error() + "\n")
		return 1
	}
	return 0
})

// adoptZombie waits for a grandchild that ends, is a zombie of the child, and
// becomes our own when the child ends: no thief, and rusage after all.
func adoptZombie() error {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return err
	}
	c := exec.Command("/bin/sh", "-c", "exec 3<&0; (read x <&3; exit 11) & echo $!; exec sleep 1000 >&-")
	stdin, _ := c.StdinPipe()
	stdout, _ := c.StdoutPipe()
	if err := c.Start(); err != nil {
		return err
	}
	defer c.Wait()
	defer c.Process.Kill()
	var pid int
	if _, err := fmt.Fscan(stdout, &pid); err != nil {
		return err
	}
	f, err := Open(pid)
	if err != nil {
		return err
	}
	defer f.Close()
	testutil.PollFor(patience, func() bool { return isSleep(c.Process.Pid) })
	stdin.Close()
	if !testutil.PollFor(patience, func() bool { return testutil.StateOf(pid) == "Z" }) {
		return errors.New("it does not end")
	}
	parked := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), testutil.Scaled(patience/2))
		defer cancel()
		exit, err := f.Wait(ctx)
		if err == nil && (exit.Status != exited(11) || exit.Source != Reaped || exit.Rusage == nil) {
			err = fmt.Errorf("wrong exit: %+v", exit)
		}
		parked <- err
	}()
	testutil.PollFor(patience, func() bool { return len(f.turn) == 1 })
	c.Process.Kill()
	return <-parked
}

func TestWait_ZombieBecomesOurs(t *testing.T) {
	needExitInfo(t) // before, its end is final at once
	c := start(t, testutil.HelperEnv(adopter), testutil.Exe())
	if exit, err := c.Wait(soon(t)); err != nil || exit.Status != 0 {
		t.Errorf("helper: %v, %v", exit, err)
	}
}
