// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package tfork

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
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
// descriptors only, in a program that has not called Dispatch: then Auto has
// nothing but Direct, guarded or not.
var firstStart = testutil.Helper("first start without descriptors", func(args []string) int {
	want, _ := ParseStrategy(args[0])
	room, _ := strconv.Atoi(args[1])
	dispatched.Store(false)
	var old unix.Rlimit
	unix.Getrlimit(unix.RLIMIT_NOFILE, &old)
	unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: uint64(3 + room), Max: old.Max})
	make := func() *Cmd {
		c := Command("/bin/sh", "-c", "exit 0")
		c.Strategy, c.Stdin, c.Stdout, c.Stderr = want, os.Stdin, os.Stdout, os.Stderr // nothing to open
		return c
	}
	c := make()
	err := c.Start()
	unix.Setrlimit(unix.RLIMIT_NOFILE, &old)
	switch {
	case err == nil && !c.Process.Guarded():
		fmt.Println("started unguarded:", c.Process.StrategyReason())
		return 1
	case err == nil:
		err = c.Wait()
	case errors.Is(err, unix.EMFILE) && !errors.Is(err, ErrNotSupported):
		fmt.Println(err)
		err = make().Run()
	}
	if err != nil {
		fmt.Println("start or the next one:", err)
		return 1
	}
	return 0
})

// TestStart_FirstOneWithoutDescriptors: no unguarded worker because a probe
// could not tell.
func TestStart_FirstOneWithoutDescriptors(t *testing.T) {
	testutil.NeedFeature(t, "6.15", exitInfoKept)
	for _, s := range []Strategy{Auto, Direct} {
		told := 0
		for room := range 8 {
			c := exec.Command(testutil.Exe(), s.String(), strconv.Itoa(room))
			c.Env = testutil.HelperEnv(firstStart)
			out, err := c.CombinedOutput()
			if err != nil {
				t.Errorf("%v, room for %d: %v\n%s", s, room, err, out)
			}
			if strings.Contains(string(out), "cannot tell") {
				told++
			}
		}
		if told == 0 {
			t.Errorf("%v: no probe was out of descriptors: the test proves nothing", s)
		}
	}
}
