// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package tfork

import (
	"bytes"
	"maps"
	"os"
	"runtime/debug"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-cb702d51/tfork-go/internal/testutil"
)

// withEverything gives c every kind of standard stream, which needs most
// descriptors, and returns it.
func withEverything(t testing.TB, c *Cmd) *Cmd {
	t.Helper()
	c.Stdin, c.Stdout = strings.NewReader("hello"), new(bytes.Buffer)
	if _, err := c.StderrPipe(); err != nil {
		t.Fatal(err)
	}
	c.ExtraFiles = []*os.File{os.Stderr, nil}
	return c
}

// TestStart_FailureKeepsNoDescriptor counts without the garbage collector,
// which closes what is only forgotten.
func TestStart_FailureKeepsNoDescriptor(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	nowhere := &syscall.SysProcAttr{Chroot: "/missing"}
	failing := map[string]func(t *testing.T, m mode) *Cmd{
		"no program": func(t *testing.T, m mode) *Cmd { return withEverything(t, m.command("/missing")) },
		"no directory": func(t *testing.T, m mode) *Cmd {
			c := withEverything(t, m.command("/bin/true"))
			c.Dir = "/missing"
			return c
		},
		"a function": func(t *testing.T, m mode) *Cmd {
			c := withEverything(t, m.function(funcExit, "0"))
			c.Payload, c.SysProcAttr = []byte("x"), nowhere
			return c
		},
		"large": func(t *testing.T, m mode) *Cmd {
			c := withEverything(t, m.command("/missing", strings.Repeat("x", 100_000)))
			c.Args = append(c.Args, c.Args[1], c.Args[1])
			return c
		},
		"in a cgroup": func(t *testing.T, m mode) *Cmd {
			dir, err := os.Open(testutil.Cgroup(t))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { dir.Close() })
			c := withEverything(t, m.command("/missing"))
			c.Cgroup = dir
			return c
		},
	}
	forEachStrategy(t, func(t *testing.T, m mode) {
		if err := m.command("/bin/true").Run(); err != nil { // the shared waiter is there
			t.Fatal(err)
		}
		for name, make := range failing {
			t.Run(name, func(t *testing.T) {
				c := make(t, m)
				before := testutil.FDs()
				if err := c.Start(); err == nil {
					c.Wait()
					t.Fatal("it was started")
				}
				var left []string
				long := time.Duration(0)
				if m.dedicated {
					long = patience // its waiter's end is not waited for
				}
				testutil.PollFor(long, func() bool {
					left = left[:0]
					for fd, to := range testutil.FDs() {
						if before[fd] != to {
							left = append(left, fd+" "+to)
						}
					}
					return len(left) == 0
				})
				if len(left) > 0 {
					t.Errorf("open after a start that failed: %v", left)
				}
			})
		}
	})
}

// TestStart_DescriptorsAreCloseOnExec: whatever another goroutine starts at any
// moment of a start inherits nothing of it.
func TestStart_DescriptorsAreCloseOnExec(t *testing.T) {
	forEachStrategy(t, func(t *testing.T, m mode) {
		before := testutil.InheritableFDs()
		check := func(when string) {
			t.Helper()
			after := testutil.InheritableFDs()
			maps.DeleteFunc(after, func(fd, _ string) bool { return before[fd] != "" })
			if len(after) > 0 {
				t.Errorf("%s: a child that somebody else starts inherits %v", when, after)
			}
		}
		c := withEverything(t, m.function(funcExit, "0"))
		_, s, err := c.prepare()
		check("before the start")
		closeAll(c.childFDs)
		closeAll(c.pipes)
		s.undo()
		if err != nil {
			t.Fatal(err)
		}
		p := mustStart(t, withEverything(t, m.command("/bin/sleep", "1000")))
		mustEventFD(t, p)
		check("while the worker runs")
	})
}
