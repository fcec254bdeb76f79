// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package fuzz

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-cb702d51/tfork-go/internal/testutil"
	"github.com/seed-cb702d51/tfork-go/tfork"
)

// trial is one run of a scenario in one way. What the scenario notes is what a
// user can observe.
type trial struct {
	way
	notes []string
	undo  []func()
}

// command makes a command; ctx may be nil.
func (r *trial) command(ctx context.Context, name string, arg ...string) command {
	return r.make(ctx, name, arg...)
}

func (r *trial) note(what string, value any) {
	r.notes = append(r.notes, fmt.Sprintf("%s: %v", what, value))
}

func (r *trial) noteErr(what string, err error) { r.note(what, describe(err)) }

// defers adds what must be undone at the end, before the count.
func (r *trial) defers(f func()) { r.undo = append(r.undo, f) }

// play runs the scenario and counts what it left behind.
func play(t testing.TB, w way, scenario func(*trial)) []string {
	t.Helper()
	fds, goroutines := testutil.FDs(), runtime.NumGoroutine()
	r := &trial{way: w}
	func() {
		defer func() {
			for _, f := range slices.Backward(r.undo) {
				f()
			}
		}()
		scenario(r)
	}()
	var left []string
	if !testutil.PollFor(patience, func() bool {
		left = left[:0]
		for fd, to := range testutil.FDs() {
			if fds[fd] == "" && !runtimeFD(to) {
				left = append(left, fd+" -> "+to)
			}
		}
		if now := runtime.NumGoroutine(); now > goroutines {
			left = append(left, fmt.Sprintf("%d goroutines, were %d", now, goroutines))
		}
		return len(left) == 0
	}) {
		r.note("left behind", left)
	}
	return r.notes
}

// runtimeFD tells whether the Go runtime keeps such a descriptor for itself.
func runtimeFD(to string) bool {
	return to == "anon_inode:[eventpoll]" || to == "anon_inode:[eventfd]" || strings.HasPrefix(to, "/sys/fs/cgroup/")
}

// compare runs the scenario in every way and fails the test at a difference.
func compare(t testing.TB, scenario func(*trial)) {
	t.Helper()
	warmUp(t)
	want := play(t, standard, scenario)
	for _, w := range ourWays(t) {
		got := play(t, w, scenario)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s differs from os/exec (-os/exec +%s):\n%s", w.name, w.name, diff)
		}
	}
}

// warmUp opens what is opened once: the netpoller, the shared waiter.
func warmUp(t testing.TB) {
	for _, w := range ourWays(t) {
		if w.name == dedicated.name {
			continue
		}
		if err := w.make(nil, "/bin/true").Run(); err != nil {
			t.Fatalf("%s: %v", w.name, err)
		}
	}
	warmOnce.Do(func() {
		// os/signal's goroutine, which never ends once started.
		testutil.RestoreSIGCHLD()
	})
}

var warmOnce sync.Once

// known are the errors that a user may test for.
var known = []struct {
	name string
	err  error
}{
	{"ErrNotExist", fs.ErrNotExist},
	{"ErrPermission", fs.ErrPermission},
	{"ErrClosed", fs.ErrClosed},
	{"exec.ErrNotFound", exec.ErrNotFound},
	{"exec.ErrDot", exec.ErrDot},
	{"exec.ErrWaitDelay", exec.ErrWaitDelay},
	{"Canceled", context.Canceled},
	{"DeadlineExceeded", context.DeadlineExceeded},
	{"ErrProcessDone", os.ErrProcessDone},
	{"ErrUnsupported", errors.ErrUnsupported},
	{"ErrClosedPipe", io.ErrClosedPipe},
	{"ErrShortWrite", io.ErrShortWrite},
	{"errPlanted", errPlanted},
}

// describe tells all that a user can find out about an error: text, types from
// the outside in, identities, details.
func describe(err error) string {
	if err == nil {
		return "nil"
	}
	var is []string
	for _, k := range known {
		if errors.Is(err, k.err) {
			is = append(is, k.name)
		}
	}
	var errno syscall.Errno
	if errors.As(err, &errno) {
		is = append(is, fmt.Sprintf("errno %d", errno))
	}
	var pe *fs.PathError
	if errors.As(err, &pe) {
		is = append(is, fmt.Sprintf("PathError{%q %q %v}", pe.Op, pe.Path, pe.Err))
	}
	var ee *exec.Error
	if errors.As(err, &ee) {
		is = append(is, fmt.Sprintf("Error{%q %v}", ee.Name, ee.Err))
	}
	return fmt.Sprintf("%q %v %v%s", err, typesOf(err), is, exitError(err))
}

// typesOf lists the types of a chain; names that differ on purpose are those
// of the standard library.
func typesOf(err error) (types []string) {
	names := strings.NewReplacer("*tfork.", "*exec.", "exec.wrappedError", "*fmt.wrapError")
	for ; err != nil; err = errors.Unwrap(err) {
		types = append(types, names.Replace(fmt.Sprintf("%T", err)))
	}
	return types
}

// exitError describes an ExitError of either package.
func exitError(err error) string {
	var std *exec.ExitError
	var ours *tfork.ExitError
	switch {
	case errors.As(err, &std):
		return fmt.Sprintf(" ExitError{%d %q}", std.ExitCode(), std.Stderr)
	case errors.As(err, &ours):
		return fmt.Sprintf(" ExitError{%d %q}", ours.ExitCode(), ours.Stderr)
	}
	return ""
}

// noteState notes everything about how a worker ended.
func (r *trial) noteState(c command) {
	st := c.state()
	if st == nil {
		r.note("state", "none")
		return
	}
	_, isStatus := st.Sys().(syscall.WaitStatus)
	usage, isUsage := st.SysUsage().(*syscall.Rusage)
	r.note("state", fmt.Sprintf("%q exited=%v success=%v code=%d sys=%#x/%v pid=%v usage=%v times=%v",
		st.String(), st.Exited(), st.Success(), st.ExitCode(), st.Sys(), isStatus, st.Pid() == pidOf(c),
		isUsage && usage.Maxrss > 0, st.UserTime() >= 0 && st.SystemTime() >= 0))
}

var errPlanted = errors.New("planted error")
