// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package pidfd

import (
	"io"
	"os"
	"runtime"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/seed-cb702d51/tfork-go/internal/testutil"
)

// leaderless ends its first thread with status 1 and lives on in another, which
// ends the process as its argument says when stdin ends.
var leaderless = testutil.Helper("leaderless", func(args []string) int {
	endMainThread(func() {
		runtime.LockOSThread()
		io.Copy(io.Discard, os.Stdin)
		if args[0] == "kill" {
			unix.Kill(os.Getpid(), unix.SIGKILL)
		}
		syscall.RawSyscall(unix.SYS_EXIT_GROUP, 3, 0, 0)
	})
	select {} // not reached by the main thread, but perhaps by the goroutine
})

// endMainThread goes on from thread to thread, holding each, until it is on the
// main one, which it ends. The rest runs on another: not before, because it could
// hold the main thread itself.
func endMainThread(rest func()) {
	runtime.LockOSThread()
	if unix.Gettid() == os.Getpid() {
		go rest()
		// Not a raw call: the scheduler must know that this thread blocks.
		syscall.Syscall(unix.SYS_EXIT, 1, 0, 0)
	}
	next := make(chan struct{})
	go func() { endMainThread(rest); close(next) }()
	<-next
}

// TestWait_LeaderEndsFirst: the process ends with its last thread, and its
// status is that thread's.
func TestWait_LeaderEndsFirst(t *testing.T) {
	tests := []struct {
		how  string
		want syscall.WaitStatus
	}{
		{"exit", exited(3)},
		{"kill", killedBy(unix.SIGKILL)},
	}
	testutil.ForEachSIGCHLD(t, func(t *testing.T) {
		needExitInfoUnlessAlone(t)
		for _, tt := range tests {
			t.Run(tt.how, func(t *testing.T) {
				c := start(t, testutil.HelperEnv(leaderless, "GOMAXPROCS=4"), testutil.Exe(), tt.how)
				other := mustOpen(t, c.pid)
				testutil.Poll(t, patience, "the leader has ended", func() bool { return testutil.StateOf(c.pid) == "Z" })
				if exit, err := c.TryWait(); err != ErrRunning {
					t.Errorf("TryWait with a dead leader = %v, %v, want ErrRunning", exit, err)
				}
				c.stdin.Close()
				got, err := c.Wait(soon(t))
				if err != nil || got.Status != tt.want {
					t.Errorf("Wait = %v, %v, want status %#x", got, err, tt.want)
				}
				if HaveExitInfo() != nil {
					return
				}
				if again, err := other.Wait(soon(t)); err != nil || again.Status != tt.want || again.Source != ExitInfo {
					t.Errorf("another descriptor: %v, %v, want status %#x", again, err, tt.want)
				}
			})
		}
	})
}
