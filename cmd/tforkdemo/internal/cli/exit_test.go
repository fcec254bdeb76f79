// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
	"testing"

	"github.com/seed-cb702d51/tfork-go/cgroup"
	"github.com/seed-cb702d51/tfork-go/cmd/tforkdemo/internal/theft"
	"github.com/seed-cb702d51/tfork-go/tfork"
)

func TestExplain_SaysWhatToDo(t *testing.T) {
	start := func(err error) error { return &fs.PathError{Op: "fork/exec", Path: "/bin/x", Err: err} }
	for _, tt := range []struct {
		err  error
		want string
	}{
		{start(syscall.EMFILE), "raise 'ulimit -n'"},
		{start(syscall.EBADF), "raise 'ulimit -n'"},
		{fmt.Errorf("sendmsg: %w", syscall.ETOOMANYREFS), "raise 'ulimit -n'"},
		{start(syscall.EAGAIN), "raise 'ulimit -u'"},
		{start(syscall.EACCES), "look at its mode"},
		{start(syscall.ENOEXEC), "#! line"},
		{start(syscall.E2BIG), "too long"},
		{fmt.Errorf("x: %w", cgroup.ErrHasProcesses), "--cgroup"},
	} {
		if got := explain(tt.err); !strings.Contains(got, tt.want) || !strings.Contains(got, tt.err.Error()) {
			t.Errorf("explain(%v) = %s; want the error and %q", tt.err, got, tt.want)
		}
	}
	plain := errors.New("something else")
	if got := explain(plain); got != plain.Error() {
		t.Errorf("explain(%v) = %s", plain, got)
	}
}

func TestStartCode_AsInTheShell(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want int
	}{
		{&tfork.Error{Name: "x", Err: tfork.ErrNotFound}, exitNotFound},
		{&fs.PathError{Op: "fork/exec", Path: "x", Err: syscall.ENOENT}, exitNotFound},
		{&fs.PathError{Op: "chdir", Path: "x", Err: syscall.ENOENT}, exitNotStarted},
		{&fs.PathError{Op: "fork/exec", Path: "x", Err: syscall.EACCES}, exitNotStarted},
		{syscall.EMFILE, exitNotStarted},
	} {
		if got := startCode(tt.err); got != tt.want {
			t.Errorf("startCode(%v) = %d, want %d", tt.err, got, tt.want)
		}
	}
}

// TestVerdict_IsHonest feeds it what no run on a good day gives.
func TestVerdict_IsHonest(t *testing.T) {
	lost := errors.New("waitid: no child processes")
	for _, tt := range []struct {
		name   string
		scores []theft.Score
		code   int
		want   []string
	}{
		{
			"kept",
			[]theft.Score{{True: 3, Lost: 7, Err: lost}, {True: 10}},
			exitOK,
			[]string{`os/exec lost 7 of 10 statuses: "waitid: no child processes".`, "tfork lost none of 10 and falsified none."},
		},
		{
			"broken",
			[]theft.Score{{True: 10}, {True: 8, Lost: 1, Wrong: 1}},
			exitFailed,
			[]string{"os/exec lost none this time", "tfork lost 1 of 10 and falsified 1."},
		},
		{
			"unguarded losses are no broken promise",
			[]theft.Score{{Lost: 10, Err: lost}, {True: 4, Lost: 6, Unguarded: true}, {True: 10}},
			exitOK,
			[]string{"tfork lost none of 10", "Unguarded, tfork lost 6 of 10"},
		},
		{
			"no promise at all",
			[]theft.Score{{Lost: 10, Err: lost}, {True: 10, Unguarded: true}},
			exitFailed,
			[]string{"Unguarded, tfork lost none of 10"},
		},
		{
			"not started",
			[]theft.Score{{Lost: 10, Err: lost}, {True: 9, NotStarted: 1, Err: syscall.EAGAIN}},
			exitFailed,
			[]string{"1 children were not started: resource temporarily unavailable"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var v verdict
			v.add(tt.scores)
			if got := v.code(); got != tt.code {
				t.Errorf("exit code %d, want %d", got, tt.code)
			}
			for _, want := range tt.want {
				if !strings.Contains(v.text(), want) {
					t.Errorf("no %q in:\n%s", want, v.text())
				}
			}
		})
	}
}
