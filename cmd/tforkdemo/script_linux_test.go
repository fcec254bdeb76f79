// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/seed-cb702d51/tfork-go/internal/peer"
	"github.com/seed-cb702d51/tfork-go/internal/testutil"
	"github.com/seed-cb702d51/tfork-go/pidfd"
)

// patience is for a machine that is busy or emulated.
const patience = 60 * time.Second

// demoDir returns a directory in which this test binary is called tforkdemo.
func demoDir(t testing.TB) string {
	dir := t.TempDir()
	if err := os.Symlink(testutil.Exe(), filepath.Join(dir, "tforkdemo")); err != nil {
		t.Fatal(err)
	}
	return dir
}

// demoEnv is the environment in which tforkdemo is found. Race-built processes
// would sleep for a second at exit.
func demoEnv(bin string) []string {
	return []string{
		"PATH=" + bin + string(filepath.ListSeparator) + os.Getenv("PATH"),
		"GORACE=atexit_sleep_ms=0", "LC_ALL=C",
	}
}

// TestScripts runs testdata/script against the real program.
func TestScripts(t *testing.T) {
	bin := demoDir(t)
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			e.Vars = append(e.Vars, demoEnv(bin)...)
			return nil
		},
		Condition: func(cond string) (bool, error) {
			switch cond {
			case "pidfd":
				return has("5.4", pidfd.HaveSet)
			case "exitinfo":
				return has("6.15", pidfd.HaveExitInfo)
			case "comm":
				return has("2.6.33", testutil.HaveComm)
			case "peers":
				return has(testutil.PeersSince, peer.HaveCredentials)
			}
			return false, fmt.Errorf("unknown condition %q", cond)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":   exits,
			"waitfor": waitFor,
		},
	})
}

// has answers a condition of a script. A kernel that should have the feature
// and has not is an error: a skip must not hide a broken probe.
func has(since string, have func() error) (bool, error) {
	err := have()
	if err != nil && testutil.KernelAtLeast(since) && os.Getenv(testutil.MissingKey) == "" {
		return false, fmt.Errorf("this kernel should have it: %w", err)
	}
	return err == nil, nil
}

// exits runs a command that must end with this exit code: exits CODE CMD...
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE CMD [ARGS...]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	err = ts.Exec(args[1], args[2:]...)
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		got = exit.ExitCode()
	case err != nil:
		ts.Fatalf("%v", err)
	}
	if got != want {
		ts.Fatalf("%q: exit code %d, want %d", args[1:], got, want)
	}
}

// waitFor polls until all files exist: waitfor FILE...
func waitFor(ts *testscript.TestScript, _ bool, args []string) {
	for _, name := range args {
		path := ts.MkAbs(name)
		if !testutil.PollFor(testutil.Scaled(patience), func() bool { _, err := os.Stat(path); return err == nil }) {
			ts.Fatalf("%s does not appear", name)
		}
	}
}
