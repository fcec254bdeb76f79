// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package fuzz

import (
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/seed-cb702d51/tfork-go/internal/testutil"
	"github.com/seed-cb702d51/tfork-go/tfork"
)

// difference is an entry of docs/differences.md, and what shows it: the
// scenario notes one thing with os/exec, and another one with ours.
type difference struct {
	name   string
	waiter bool // with the waiter only
	shared bool // and only with a shared one
	play   func(*trial)
	told   string // the key of /proc/PID/status that shows it
	std    string
	ours   string
}

var differences = []difference{
	{
		name: "stolen status", std: `"waitid: no child processes" [*os.SyscallError syscall.Errno] [errno 10]`,
		ours: `"exit status 3" [*exec.ExitError] [] ExitError{3 ""}`,
		play: func(r *trial) {
			c := r.command(plainly, "./exit3")
			if err := c.Start(); err != nil {
				r.noteErr("Start", err)
				return
			}
			for {
				if _, err := unix.Wait4(pidOf(c), nil, 0, nil); err != unix.EINTR {
					break // stolen; under the waiter there is nothing to steal
				}
			}
			r.noteErr("Wait", c.Wait())
			finish(c)
		},
	},
	{
		name: "types of their own", std: "*os.Process *os.ProcessState *exec.ExitError",
		ours: "*tfork.Process *tfork.ProcessState *tfork.ExitError",
		play: func(r *trial) {
			c := r.command(plainly, "./exit3")
			err := c.Run()
			r.note("types", fmt.Sprintf("%T %T %T", c.process(), c.state(), err))
		},
	},
	{
		name: "Process.Wait again", std: "no child processes", ours: "exit status 3",
		play: func(r *trial) {
			c := r.command(plainly, "./exit3")
			if err := c.Start(); err != nil {
				r.noteErr("Start", err)
				return
			}
			switch c := c.(type) {
			case stdCmd:
				c.Process.Wait()
			case ourCmd:
				c.Process.Wait()
			}
			// Before the last colon stands the call, which depends on the kernel.
			text := c.Wait().Error()
			r.note("Wait", strings.TrimSpace(text[strings.LastIndexByte(text, ':')+1:]))
		},
	},
	{
		name: "Process.Release", std: `"os: process already released" false`, ours: `"tfork: process already released" true`,
		play: func(r *trial) {
			c := r.command(plainly, "/bin/true")
			if err := c.Start(); err != nil {
				r.noteErr("Start", err)
				return
			}
			pid := pidOf(c)
			c.process().Release()
			r.note("Kill", fmt.Sprintf("%q %v", c.process().Kill(), pidOf(c) == pid))
			unix.Wait4(pid, nil, 0, nil) // os/exec leaves a zombie
		},
	},
	{
		name: "null device", std: "0100000 0100001 0100001", ours: "0100002 0100002 0100002",
		play: withPause(nil, func(pid int) string {
			var flags []string
			for fd := range 3 {
				b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/fdinfo/%d", pid, fd))
				flags = append(flags, regexp.MustCompile(`flags:\s*(\d+)`).FindStringSubmatch(string(b))[1])
			}
			return strings.Join(flags, " ")
		}),
	},
	{
		name: "String without Args", std: "runtime error: slice bounds out of range [1:0]", ours: "/bin/true",
		play: func(r *trial) {
			c := r.command(plainly, "/bin/true")
			*c.fields().Args = nil
			defer func() {
				if e := recover(); e != nil {
					r.note("panic", e)
				}
			}()
			r.note("String", c.String())
		},
	},
	{
		name: "AmbientCaps that are none", ours: `fork/exec /bin/true: invalid argument`,
		play: func(r *trial) {
			c := r.command(plainly, "/bin/true")
			if _, dies := c.(stdCmd); dies {
				r.note("Run", "")
				return
			}
			*c.fields().Sys = &syscall.SysProcAttr{AmbientCaps: []uintptr{64}}
			r.note("Run", c.Run())
		},
	},
	{
		name: "parent", waiter: true, std: "caller", ours: "child of the caller",
		play: withPause(nil, func(pid int) string {
			switch parent := testutil.ParentOf(pid); os.Getpid() {
			case parent:
				return "caller"
			case testutil.ParentOf(parent):
				return "child of the caller"
			}
			return "somebody else"
		}),
	},
	{
		name: "inheritable descriptors", waiter: true, std: "true", ours: "false",
		play: func(r *trial) {
			fd, err := unix.Open("/dev/zero", unix.O_RDONLY, 0) // without O_CLOEXEC
			r.defers(func() { unix.Close(fd) })
			if err != nil {
				r.noteErr("open", err)
			}
			withPause(nil, func(pid int) string {
				return fmt.Sprint(slices.Contains(testutil.SortedFDs(pid), fmt.Sprint(fd, " /dev/zero")))
			})(r)
		},
	},
	{
		name: "thread state", waiter: true, shared: true, told: "SigBlk", std: "true", ours: "false",
		play: func(r *trial) {
			testutil.OnOwnThread(func() {
				set := unix.Sigset_t{Val: [16]uint64{1 << (unix.SIGUSR2 - 1)}}
				unix.PthreadSigmask(unix.SIG_BLOCK, &set, nil)
				withPause(nil, func(pid int) string { return fmt.Sprint(statusHas(pid, "SigBlk", unix.SIGUSR2)) })(r)
			})
		},
	},
	{
		name: "ended is collected", waiter: true, std: "nil", ours: `"os: process already finished" [*errors.errorString] [ErrProcessDone]`,
		play: func(r *trial) {
			c := r.command(plainly, "/bin/true")
			if err := c.Start(); err != nil {
				r.noteErr("Start", err)
				return
			}
			pid := pidOf(c)
			testutil.PollFor(patience, func() bool { return !testutil.Alive(pid) })
			if r.way.name == shared.name || r.way.name == dedicated.name {
				testutil.PollFor(patience, func() bool { return !testutil.Exists(pid) })
			}
			r.noteErr("Kill", c.process().Kill())
			c.Wait()
		},
	},
	{
		name: "ignored SIGCHLD", waiter: true, told: "SigIgn", std: "true", ours: "false",
		play: func(r *trial) {
			signal.Ignore(unix.SIGCHLD)
			r.defers(testutil.RestoreSIGCHLD)
			withPause(nil, func(pid int) string { return fmt.Sprint(statusHas(pid, "SigIgn", unix.SIGCHLD)) })(r)
		},
	},
	{
		name: "Pdeathsig", waiter: true, std: "died with the thread", ours: "lives",
		play: func(r *trial) {
			var c command
			gone := make(chan struct{})
			testutil.OnOwnThread(func() {
				defer close(gone)
				c = r.command(plainly, "./pause")
				*c.fields().Sys = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
				r.noteErr("Start", c.Start())
			})
			<-gone
			r.notes = r.notes[:0]
			if r.way.name == standard.name || r.way.name == direct.name {
				testutil.PollFor(patience, func() bool { return !testutil.Alive(pidOf(c)) })
			}
			what := "lives"
			if !testutil.Alive(pidOf(c)) {
				what = "died with the thread"
			}
			finish(c)
			r.note("worker", what)
		},
	},
	{
		name: "refused attributes", waiter: true, std: "<nil>",
		ours: "tfork: strategy waiter cannot honour Cloneflags: only namespaces (CLONE_NEW...) can be asked for through a waiter",
		play: func(r *trial) {
			c := r.command(plainly, "/bin/true")
			*c.fields().Sys = &syscall.SysProcAttr{Cloneflags: unix.CLONE_FS}
			r.note("Run", c.Run())
		},
	},
}

// TestDifferences_AreTheDocumentedOnes: each shows, and only where it should,
// and the document lists the same ones.
func TestDifferences_AreTheDocumentedOnes(t *testing.T) {
	doc, err := os.ReadFile("../docs/differences.md")
	if err != nil {
		t.Fatal(err)
	}
	var listed, tested []string
	for _, m := range regexp.MustCompile(`(?m)^\* \*\*([^*]+)\*\*:`).FindAllSubmatch(doc, -1) {
		listed = append(listed, string(m[1]))
	}
	for _, d := range differences {
		tested = append(tested, d.name)
	}
	if !slices.Equal(listed, tested) {
		t.Errorf("docs/differences.md lists %q\ntested are %q", listed, tested)
	}
	enterFixture(t)
	for _, d := range differences {
		t.Run(d.name, func(t *testing.T) { d.show(t) })
	}
}

func (d difference) show(t *testing.T) {
	if d.told != "" && !testutil.Told(d.told) {
		t.Skip("the kernel does not say it of a process: ", d.told)
	}
	warmUp(t)
	for _, w := range append([]way{standard}, ourWays(t)...) {
		want := d.ours
		if w.name == standard.name || d.waiter && w.name == direct.name || d.shared && w.name == dedicated.name {
			want = d.std
		}
		if report, _ := tfork.Probe(); d.name == "stolen status" && w.name == direct.name && !exitInfoKept(report) {
			continue // then it is ErrLost
		}
		got := strings.Join(play(t, w, d.play), "; ")
		if _, value, _ := strings.Cut(got, ": "); value != want {
			t.Errorf("%s: %s\nwant %s", w.name, value, want)
		}
	}
}

// withPause starts the program that does nothing, and notes what look says.
func withPause(edit func(f fields), look func(pid int) string) func(*trial) {
	return func(r *trial) {
		c := r.command(plainly, "./pause")
		if edit != nil {
			edit(c.fields())
		}
		if err := c.Start(); err != nil {
			r.noteErr("Start", err)
			return
		}
		view(pidOf(c)) // until it is there
		r.note("it", look(pidOf(c)))
		finish(c)
	}
}

// finish ends c. After a lost status os/exec keeps its pidfd.
func finish(c command) {
	c.process().Kill()
	c.Wait()
	if _, std := c.(stdCmd); std {
		c.process().Release()
	}
}

// statusHas tells whether a set in /proc/PID/status has the signal.
func statusHas(pid int, key string, sig syscall.Signal) bool {
	for _, line := range statusLines(fmt.Sprintf("/proc/%d/", pid)) {
		var set uint64
		if n, _ := fmt.Sscanf(line, key+":\t%x", &set); n == 1 {
			return set&(1<<(sig-1)) != 0
		}
	}
	return false
}
