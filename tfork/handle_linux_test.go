// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package tfork

import (
	"errors"
	"os"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/seed-cb702d51/tfork-go/internal/sys"
	"github.com/seed-cb702d51/tfork-go/internal/testutil"
	"github.com/seed-cb702d51/tfork-go/pidfd"
)

// TestWithHandle_AfterAShortWorker: it may have ended before its start was through,
// which is another thing than a system without pidfds.
func TestWithHandle_AfterAShortWorker(t *testing.T) {
	if err := waiterPossible(); err != nil {
		t.Skip(err)
	}
	testutil.NeedFeature(t, "5.3", pidfd.HaveOpen)
	tiny := testutil.Tiny(t, 0)
	for i := range 200 {
		c := Command(tiny)
		c.Strategy = Waiter
		mustStart(t, c)
		live := c.Process.WithHandle(func(uintptr) {})
		if live != nil && !errors.Is(live, os.ErrProcessDone) {
			t.Fatalf("start %d: WithHandle = %v at once", i, live)
		}
		if err := c.Wait(); err != nil {
			t.Fatal(err)
		}
		if err := c.Process.WithHandle(func(uintptr) {}); !errors.Is(err, os.ErrProcessDone) {
			t.Fatalf("start %d: WithHandle = %v after Wait, want os.ErrProcessDone", i, err)
		}
	}
}

// TestWaitBriefly_ReapsNobodyElse: the pidfd was closed, because it was of no use,
// and its number is that of another worker's.
func TestWaitBriefly_ReapsNobodyElse(t *testing.T) {
	if err := directParks(); err != nil {
		t.Skip(err)
	}
	useless, err := unix.Open(os.DevNull, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	h := &pidfdHandle{}
	h.take(useless)
	if _, err := h.get(); err == nil {
		t.Fatal("a descriptor of the null device is a pidfd")
	}
	theirs := -1
	attr := &syscall.ProcAttr{Sys: &syscall.SysProcAttr{PidFD: &theirs}}
	pid, err := syscall.ForkExec(testutil.Tiny(t, 3), []string{"tiny"}, attr)
	if err != nil {
		t.Fatal(err)
	}
	if theirs != useless {
		if err := unix.Dup3(theirs, useless, unix.O_CLOEXEC); err != nil {
			t.Fatal(err)
		}
		defer unix.Close(theirs)
	}
	defer unix.Close(useless)
	testutil.Poll(t, patience, "the other worker ends", func() bool { return !testutil.Alive(pid) })
	if st, ok := h.waitBriefly(); ok {
		t.Errorf("another worker's status: %v", st)
	}
	if w, err := sys.WaitID(unix.P_PID, pid, unix.WEXITED); err != nil || w.Status.ExitStatus() != 3 {
		t.Errorf("the other worker: %v, %v", w.Status, err)
	}
}
