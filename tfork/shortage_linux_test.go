// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package tfork

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/seed-cb702d51/tfork-go/internal/feature"
	"github.com/seed-cb702d51/tfork-go/internal/testutil"
)

func TestShortage_IsNoAnswer(t *testing.T) {
	tests := []struct {
		err  error
		want bool
	}{
		{nil, false},
		{fmt.Errorf("pidfd_open: %w", unix.EMFILE), true},
		{fmt.Errorf("pidfd_open: %w", unix.ENFILE), true},
		{fmt.Errorf("ioctl: %w", unix.ENOMEM), true},
		{&feature.Error{Name: "x", Reason: unix.EMFILE}, false},
		{errors.New("no thread that may be ended"), false},
	}
	for _, tt := range tests {
		if got := shortage(tt.err); got != tt.want {
			t.Errorf("shortage(%v) = %v, want %v", tt.err, got, tt.want)
		}
	}
}

// firstStart makes the very first start of a process with room for a few
// descriptors only: nothing has been probed, and the Go runtime has no network
// poller, without which it ends the process where it cannot open one. But for
// the waiter, it is a program that has not called Dispatch: then Auto has
// nothing but Direct, guarded or not.
var firstStart = testutil.Helper("first start without descriptors", func(args []string) int {
	want, _ := ParseStrategy(args[0])
	room, _ := strconv.Atoi(args[2])
	dispatched.Store(want == Waiter)
	var old unix.Rlimit
	unix.Getrlimit(unix.RLIMIT_NOFILE, &old)
	unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: uint64(3 + room), Max: old.Max})
	c, err := firstCommand(want, args[1])
	if err == nil {
		err = c.Start()
	}
	unix.Setrlimit(unix.RLIMIT_NOFILE, &old)
	// What all of the user's processes have on its way in sockets, other tests
	// too, is held against the limit of the one who sends: ETOOMANYREFS.
	if (errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ETOOMANYREFS)) && !errors.Is(err, ErrNotSupported) {
		fmt.Println(err)
		// What it was short of must not be held against the next one.
		if c, err = firstCommand(want, args[1]); err == nil {
			err = c.Start()
		}
	}
	if err != nil {
		fmt.Println("start or the next one:", err)
		return 1
	}
	if !c.Process.Guarded() {
		fmt.Println("started unguarded:", c.Process.StrategyReason())
		return 1
	}
	if err = c.Wait(); err != nil {
		fmt.Println("wait:", err)
		return 1
	}
	// Package os asks for itself, once.
	self, _ := os.FindProcess(os.Getpid())
	if err := self.WithHandle(func(uintptr) {}); err != nil {
		fmt.Println("package os:", err)
		return 1
	}
	return 0
})

// firstCommand makes a command that has something to open, or nothing.
func firstCommand(s Strategy, opens string) (*Cmd, error) {
	c := Command("/bin/sh", "-c", "exit 0")
	c.Strategy, c.Stdin, c.Stdout, c.Stderr = s, os.Stdin, os.Stdout, os.Stderr
	var err error
	switch opens {
	case "null device":
		c.Stdin = nil
	case "buffer":
		c.Stdout = new(bytes.Buffer)
	case "input pipe":
		c.Stdin = nil
		_, err = c.StdinPipe()
	case "output pipe":
		c.Stdout = nil
		_, err = c.StdoutPipe()
	}
	return c, err
}

// TestStart_FirstOneWithoutDescriptors: an error that says so, and the next
// start is as if it had been the first. No unguarded worker because a probe
// could not tell, and no abort by the runtime.
func TestStart_FirstOneWithoutDescriptors(t *testing.T) {
	testutil.NeedFeature(t, "6.15", exitInfoKept)
	for _, s := range []Strategy{Auto, Direct, Waiter} {
		for _, opens := range []string{"nothing", "null device", "buffer", "input pipe", "output pipe"} {
			t.Run(s.String()+"/"+opens, func(t *testing.T) { firstStarts(t, s, opens) })
		}
	}
}

// firstStarts gives one descriptor more each time, until there are enough.
func firstStarts(t *testing.T, s Strategy, opens string) {
	var told []string
	for room := range 40 {
		c := exec.Command(testutil.Exe(), s.String(), opens, strconv.Itoa(room))
		c.Env = testutil.HelperEnv(firstStart)
		out, err := c.CombinedOutput()
		if err != nil {
			t.Errorf("room for %d: %v\n%s", room, err, out)
			continue
		}
		if len(out) > 0 {
			told = append(told, string(out))
			continue
		}
		// It worked. Before that something else was short each time.
		short := []string{"the network poller cannot be opened"}
		if s == Waiter {
			short = append(short, "start of a waiter: socketpair", "start of a waiter: open /dev/null", "start of a waiter: eventfd")
		} else {
			short = append(short, "cannot tell", "fork/exec /bin/sh")
		}
		for _, what := range short {
			if !slices.ContainsFunc(told, func(s string) bool { return strings.Contains(s, what) }) {
				t.Errorf("%q was never short: the test proves less than it says; told was %q", what, told)
			}
		}
		return
	}
	t.Errorf("it never worked; told was %q", told)
}

// lonelyEnd opens a worker's end of the lifeline where the runtime has no room
// for its network poller.
var lonelyEnd = testutil.Helper("lifeline without descriptors", func([]string) int {
	var p [2]int
	if err := unix.Pipe2(p[:], 0); err != nil {
		return 1
	}
	unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 3, Max: 3})
	if _, err := openLifelineEnd(p[0]); !errors.Is(err, unix.EMFILE) {
		fmt.Println(err)
		return 1
	}
	return 0
})

// TestLifeline_WithoutDescriptors: the worker's end says why, which a runtime
// that aborts does not.
func TestLifeline_WithoutDescriptors(t *testing.T) {
	c := exec.Command(testutil.Exe())
	c.Env = testutil.HelperEnv(lonelyEnd)
	if out, err := c.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
