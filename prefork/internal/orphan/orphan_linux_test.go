// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package orphan

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-cb702d51/tfork-go/internal/testutil"
)

const patience = 30 * time.Second

// subreaper is a process that orphans come to. It prints nothing if every
// orphan was reaped and nobody's own child was touched.
var subreaper = testutil.Helper("orphan: subreaper", func([]string) int {
	if Needed() {
		return complain("needed before it is a subreaper")
	}
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return complain("prctl: %v", err)
	}
	if !Needed() {
		return complain("not needed although it is a subreaper")
	}
	reaped := make(chan Reaped, 100)
	kept := make(chan int, 1)
	claimed := 0
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	done := make(chan error)
	own := ownChild()
	bare := bareChild(1)
	go func() {
		claimed = <-kept
		done <- Run(ctx, func(pid int) bool { return pid == claimed }, func(r Reaped) { reaped <- r })
	}()
	mine, err := syscall.ForkExec("/bin/true", []string{"true"}, &syscall.ProcAttr{})
	if err != nil {
		return complain("fork: %v", err)
	}
	kept <- mine
	const orphans = 5
	for i := range orphans {
		// The shell ends, its child lives on, comes to us and ends with 10+i.
		if err := exec.Command("/bin/sh", "-c", fmt.Sprintf("(sleep 0.05; exit %d) & exit 0", 10+i)).Run(); err != nil {
			return complain("orphan %d: %v", i, err)
		}
	}
	codes := map[int]bool{}
	for range orphans {
		select {
		case r := <-reaped:
			codes[syscall.WaitStatus(r.Status).ExitStatus()] = true
		case <-time.After(testutil.Scaled(patience)):
			return complain("reaped only %v", codes)
		}
	}
	if len(codes) != orphans {
		return complain("reaped statuses %v", codes)
	}
	// All own children have been zombies for longer than the orphans were.
	if err := own.Wait(); err == nil || own.ProcessState.ExitCode() != 3 {
		return complain("the child of os/exec: %v", err)
	}
	if err := bare(); err != nil {
		return complain("the child of another thread: %v", err)
	}
	var ws syscall.WaitStatus
	if _, err := syscall.Wait4(mine, &ws, 0, nil); err != nil || ws.ExitStatus() != 0 {
		return complain("the claimed child: %v", err)
	}
	cancel()
	if err := <-done; err != nil {
		return complain("Run: %v", err)
	}
	select {
	case r := <-reaped:
		return complain("reaped a child that was not an orphan: %+v", r)
	default:
		return 0
	}
})

func complain(format string, args ...any) int {
	fmt.Printf(format+"\n", args...)
	return 1
}

// ownChild is started by os/exec and waited for late.
func ownChild() *exec.Cmd {
	cmd := exec.Command("/bin/sh", "-c", "exit 3")
	if err := cmd.Start(); err != nil {
		panic(err)
	}
	return cmd
}

// bareChild is started without a pidfd, from a thread that is not the first,
// and waited for late.
func bareChild(code int) (wait func() error) {
	pid := make(chan int)
	status := make(chan error)
	collect := make(chan struct{})
	start := func() bool {
		runtime.LockOSThread()
		if unix.Gettid() == os.Getpid() {
			return false // the first thread: locked until the other one is found
		}
		p, err := syscall.ForkExec("/bin/sh", []string{"sh", "-c", fmt.Sprint("exit ", code)}, &syscall.ProcAttr{})
		if err != nil {
			panic(err)
		}
		pid <- p
		<-collect
		var ws syscall.WaitStatus
		_, err = syscall.Wait4(p, &ws, 0, nil)
		if err == nil && ws.ExitStatus() != code {
			err = fmt.Errorf("status %#x", ws)
		}
		status <- err
		return true
	}
	go func() {
		if !start() {
			go start()
			<-collect
		}
	}()
	<-pid
	return func() error { close(collect); return <-status }
}

func TestRun_ReapsOrphansAndNothingElse(t *testing.T) {
	testutil.NeedPeerCredentials(t) // as a server does, whose orphans these would be
	testutil.NeedFeature(t, "5.4", possible)
	if _, err := os.Stat(fmt.Sprintf("/proc/self/task/%d/children", os.Getpid())); err != nil {
		t.Skipf("this kernel does not list children by thread: %v", err)
	}
	cmd := exec.Command(testutil.Exe())
	cmd.Env = testutil.HelperEnv(subreaper)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

func TestPidOf(t *testing.T) {
	for info, want := range map[string]int{
		"pos:\t0\nflags:\t02000002\nmnt_id:\t15\nino:\t7\nPid:\t4711\nNSpid:\t4711\n": 4711,
		"pos:\t0\nPid:\t-1\n":      -1,
		"pos:\t0\nflags:\t02000\n": 0,
		"":                         0,
	} {
		if got := pidOf([]byte(info)); got != want {
			t.Errorf("pidOf(%q) = %d, want %d", info, got, want)
		}
	}
}
