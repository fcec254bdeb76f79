// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package fuzz

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-cb702d51/tfork-go/internal/testutil"
	"github.com/seed-cb702d51/tfork-go/tfork"
)

// callerHelper is a process that starts workers without end, in all strategies.
// It writes a byte when the first has ended, and ends itself where one did not
// end as it should.
var callerHelper = testutil.Helper("caller under load", func([]string) int {
	time.AfterFunc(testutil.Scaled(2*patience), func() { os.Exit(3) }) // should the test forget it
	var first sync.Once
	for range 6 {
		go func() {
			for {
				if err := loadOne(); err != nil {
					fmt.Fprintln(os.Stderr, "caller under load:", err)
					os.Exit(4)
				}
				first.Do(func() { os.Stdout.WriteString(".") })
			}
		}()
	}
	select {}
})

// loadOne runs a worker of a random kind, whose status must be true: nobody
// kills or steals anything but the caller as a whole.
func loadOne() error {
	code := rand.IntN(256)
	c := loadCommand(code, time.Duration(rand.IntN(30))*time.Millisecond)
	switch rand.IntN(8) {
	case 0:
		c.Dedicated = true
	case 1:
		c.Strategy = tfork.Direct
	case 2:
		c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: unix.SIGKILL}
	case 3:
		c.Stdout, c.Stdin = new(strings.Builder), strings.NewReader("x")
	}
	err := c.Run()
	var ee *tfork.ExitError
	if err == nil && code == 0 || errors.As(err, &ee) && ee.ExitCode() == code {
		return nil
	}
	return fmt.Errorf("%w, want exit status %d", err, code)
}

// loadedCaller is a caller under load, and the end of its standard output.
type loadedCaller struct {
	*exec.Cmd
	out *os.File
}

// startCaller starts one as the leader of a session.
func startCaller(t *testing.T, tmp string) loadedCaller {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	defer w.Close()
	c := exec.Command(testutil.Exe())
	c.Env = testutil.HelperEnv(callerHelper, "TMPDIR="+tmp, "GOMAXPROCS=2")
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: unix.SIGKILL}
	c.Stdout, c.Stderr = w, os.Stderr
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	return loadedCaller{c, r}
}

// killUnderLoad kills it at a random moment after its first worker has ended.
func (c loadedCaller) killUnderLoad(t *testing.T) {
	t.Helper()
	c.out.SetReadDeadline(time.Now().Add(testutil.Scaled(patience)))
	if _, err := c.out.Read(make([]byte, 1)); err != nil {
		t.Errorf("no worker of a caller has ended: %v", err)
	}
	time.Sleep(rand.N(testutil.Scaled(25 * time.Millisecond))) // the moment is random
	c.Process.Kill()
	err := c.Wait()
	if ws := c.ProcessState.Sys().(syscall.WaitStatus); ws.Signal() != unix.SIGKILL {
		t.Errorf("a caller ended by itself: %v", err)
	}
}

// TestDeath_CallerKilledUnderLoad: no waiter, zombie, socket or temporary file
// is left when its workers have ended.
func TestDeath_CallerKilledUnderLoad(t *testing.T) {
	needWaiter(t)
	tfork.CloseIdle()
	// What the callers leave behind becomes ours: then even a zombie shows.
	testutil.NeedSubreaper(t)
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	defer unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
	runtime.LockOSThread() // the callers' death signal is tied to it
	defer runtime.UnlockOSThread()
	tmp := t.TempDir()
	sessions := map[int]bool{}
	for range kills() / 8 {
		var callers []loadedCaller
		for range 8 {
			c := startCaller(t, tmp)
			sessions[c.Process.Pid] = true
			callers = append(callers, c)
		}
		for _, c := range callers {
			c.killUnderLoad(t)
		}
	}
	testutil.Poll(t, patience, "nothing of the callers is left", func() bool {
		reapAll()
		return len(members(sessions)) == 0
	})
	if files, _ := filepath.Glob(filepath.Join(tmp, "*")); len(files) > 0 {
		t.Errorf("left in the directory for temporary files: %q", files)
	}
}

// members returns the processes of the sessions, zombies too.
func members(sessions map[int]bool) (pids []int) {
	procs, _ := filepath.Glob("/proc/[0-9]*")
	for _, p := range procs {
		pid, _ := strconv.Atoi(filepath.Base(p))
		if sid, err := unix.Getsid(pid); err == nil && sessions[sid] {
			pids = append(pids, pid)
		}
	}
	return pids
}
