// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/seed-cb702d51/tfork-go/internal/testutil"
)

// run runs tforkdemo in this process.
func run(args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	code = Run(args, strings.NewReader(""), &out, &errs)
	return code, out.String(), errs.String()
}

// helperNoProcs is tforkdemo at its user's limit of processes.
var helperNoProcs = testutil.Helper("no processes", func(args []string) int {
	warmThreads()
	if err := unix.Setrlimit(unix.RLIMIT_NPROC, &unix.Rlimit{}); err != nil {
		panic(err)
	}
	return Run(args, os.Stdin, os.Stdout, os.Stderr)
})

// warmThreads leaves threads for the Go runtime to use again: at the limit it
// could start none, and would end the program.
func warmThreads() {
	const enough = 32
	var all sync.WaitGroup
	for range enough {
		all.Go(func() { unix.Nanosleep(&unix.Timespec{Nsec: 50_000_000}, nil) })
	}
	all.Wait()
	// Catching signals for the first time starts threads of its own.
	c := make(chan os.Signal, 1)
	signal.Notify(c, unix.SIGUSR1)
	signal.Stop(c)
}

// TestRun_NoMoreProcesses runs as a user of its own, because root has no limit.
func TestRun_NoMoreProcesses(t *testing.T) {
	for _, tt := range []struct {
		name string
		args []string
		code int
		want []string
	}{
		{"one", []string{"run", "--strategy", "direct", "--", "true"}, exitNotStarted, []string{"resource temporarily unavailable", "ulimit -u"}},
		{"many", []string{"run", "--strategy", "direct", "-n", "20", "-p", "4", "--", "true"}, exitFailed, []string{"ulimit -u", "│ not started │       20 │"}},
		{"waiter", []string{"run", "--strategy", "waiter", "-n", "20", "-p", "4", "--", "true"}, exitFailed, []string{"start of a waiter", "│ not started │       20 │"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cmd := exec.Command(testutil.ExeForAnyUser, tt.args...)
			cmd.Env = testutil.HelperEnv(helperNoProcs)
			cmd.Dir = "/"
			if os.Getuid() == 0 {
				cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 64721, Gid: 64721}}
			}
			out, _ := cmd.CombinedOutput() // its error is the exit code
			if got := cmd.ProcessState.ExitCode(); got != tt.code {
				t.Errorf("exit code %d, want %d", got, tt.code)
			}
			for _, want := range tt.want {
				if !strings.Contains(string(out), want) {
					t.Errorf("no %q in the output:\n%s", want, out)
				}
			}
		})
	}
}

// TestRun_StreamsThatAreNoFiles: the children write to our writers at once.
func TestRun_StreamsThatAreNoFiles(t *testing.T) {
	code, out, errs := run("run", "-n", "20", "-p", "8", "--", "sh", "-c", "echo out; echo err >&2")
	if code != exitOK || strings.Count(out, "out\n") != 20 || strings.Count(errs, "err\n") != 20 {
		t.Errorf("exit code %d\n%s%s", code, out, errs)
	}
}

func TestRun_NULByteInAnArgument(t *testing.T) {
	code, _, errs := run("run", "--", "echo", "a\x00b")
	if code != exitNotStarted || !strings.Contains(errs, "invalid argument") {
		t.Errorf("exit code %d: %s", code, errs)
	}
}

// TestRun_LeavesSignalsAlone: after a run the process reacts to them as before.
func TestRun_LeavesSignalsAlone(t *testing.T) {
	before := caughtSignals(t)
	if code, _, errs := run("run", "-n", "2", "--", "true"); code != exitOK {
		t.Fatal(errs)
	}
	if code, _, errs := run("run", "--", "true"); code != exitOK {
		t.Fatal(errs)
	}
	if after := caughtSignals(t); after != before {
		t.Errorf("caught and ignored signals: %s, before: %s", after, before)
	}
}

func caughtSignals(t *testing.T) string {
	t.Helper()
	return procField("self", "SigCgt") + " " + procField("self", "SigIgn")
}
