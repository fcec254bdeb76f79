// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package tfork

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/seed-cb702d51/tfork-go/internal/testutil"
)

// TestStrategy_OnlyNotSupportedMovesOn: with SIGCHLD ignored Auto has two ways,
// and the error of the first is not followed by a start in the second.
func TestStrategy_OnlyNotSupportedMovesOn(t *testing.T) {
	testutil.NeedFeature(t, "6.15", exitInfoKept)
	if err := waiterPossible(); errors.Is(err, ErrNotSupported) {
		t.Skip(err)
	}
	t.Setenv(strategyEnv, "auto")
	testutil.IgnoreSIGCHLD(t)
	options, err := Command("/missing").options()
	if err != nil || len(options) != 2 {
		t.Fatalf("%d ways, %v: the test's premise is gone", len(options), err)
	}
	err = Command("/missing").Start()
	if _, single := err.(*fs.PathError); !single || !errors.Is(err, unix.ENOENT) {
		t.Errorf("Start = %T %v, want the one error of the first way", err, err)
	}
}

// chooser says which strategy the environment asks for.
var chooser = testutil.Helper("which strategy is wanted", func([]string) int {
	s, _, err := new(Cmd).wanted()
	fmt.Print(s, " ", err)
	return 0
})

// TestStrategy_PrivilegedIgnoresEnvironment: whoever starts a set-uid program
// does not choose how that starts its workers.
func TestStrategy_PrivilegedIgnoresEnvironment(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can make such a program that it starts as somebody else")
	}
	dir, err := os.MkdirTemp("/tmp", "tfork-exe")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	exe := filepath.Join(dir, "tfork.test")
	program, err := os.ReadFile(testutil.Exe())
	if err == nil {
		err = errors.Join(os.Chmod(dir, 0o755), os.WriteFile(exe, program, 0o755))
	}
	if err != nil {
		t.Fatal(err)
	}
	for mode, want := range map[fs.FileMode]string{0o755: "waiter <nil>", 0o755 | fs.ModeSetuid: "auto <nil>"} {
		if err := os.Chmod(exe, mode); err != nil {
			t.Fatal(err)
		}
		if mode&fs.ModeSetuid != 0 {
			testutil.NeedPrivilegedExec(t, exe)
		}
		c := exec.Command(exe)
		c.Dir, c.Env = "/", testutil.HelperEnv(chooser, strategyEnv+"=waiter")
		c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		got, err := c.CombinedOutput()
		if err != nil || string(got) != want {
			t.Errorf("%v: %q, %v, want %q", mode, got, err, want)
		}
	}
}

// TestWaiterKilled_TrueOrLost: the status of a worker whose waiter was killed is
// the true one where the kernel keeps it, and never made up.
func TestWaiterKilled_TrueOrLost(t *testing.T) {
	forEachStrategy(t, func(t *testing.T, m mode) {
		if m.strategy != Waiter {
			t.Skip("has no waiter")
		}
		CloseIdle()
		p, let := startWaiting(t, m, 7)
		if err := testutil.Kill(testutil.ParentOf(p.Pid), unix.SIGKILL); err != nil {
			t.Fatal(err)
		}
		let()
		st, err := p.Status(true)
		switch {
		case err == nil && (st.ExitStatus() != 7 || st.Source() != SourceExitInfo):
			t.Errorf("Status = %v, from %v, want exit status 7 from the kernel's record", st, st.Source())
		case err != nil && !errors.Is(err, ErrLost):
			t.Errorf("Status: %v, want ErrLost", err)
		case err != nil:
			t.Log(err)
		}
	})
}
