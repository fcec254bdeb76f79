// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package fuzz

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"text/tabwriter"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-cb702d51/tfork-go/internal/testutil"
)

// TestSoak runs for as long as the environment says, and prints a table.
func TestSoak(t *testing.T) {
	d, err := time.ParseDuration(os.Getenv(soakKey))
	if err != nil {
		t.Skipf("set %s to a duration, or use .ci/soak", soakKey)
	}
	needWaiter(t)
	testutil.NeedSubreaper(t)
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	defer unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
	args := []string{"helper", d.String()}
	for code := range 256 {
		args = append(args, testutil.Tiny(t, byte(code)))
	}
	out, tmp := filepath.Join(t.TempDir(), "result"), t.TempDir()
	t.Setenv("TMPDIR", tmp) // of all callers
	sessions := map[int]bool{}
	helper := soakCaller
	if profile := os.Getenv(soakProfile); profile != "" {
		helper, args = filteredSoak, slices.Insert(args, 1, profile)
	}
	main := startSession(t, helper, out, args, sessions)
	ended, killed := supervise(t, main, sessions)
	if !ended.Exited() || ended.ExitStatus() != 0 {
		t.Errorf("soaked caller ended with %#x", ended)
	}
	var r soakResult
	if b, err := os.ReadFile(out); err != nil || json.Unmarshal(b, &r) != nil {
		t.Fatalf("no result: %v %s", err, b)
	}
	left := 0
	if !testutil.PollFor(patience, func() bool { reapAll(); left = len(members(sessions)); return left == 0 }) {
		t.Errorf("%d processes of killed callers are left", left)
	}
	files, _ := filepath.Glob(filepath.Join(tmp, "*"))
	r.report(t, remains{d, killed, left, files})
}

// remains is what a soak of that time has left beside the result of its caller.
type remains struct {
	d         time.Duration
	callers   int // that were killed
	processes int // of killed callers
	files     []string
}

// startSession starts a helper as the leader of a session.
func startSession(t *testing.T, helper, out string, args []string, sessions map[int]bool) int {
	t.Helper()
	f, err := os.Create(out)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	p, err := os.StartProcess(testutil.Exe(), args, &os.ProcAttr{
		Env: testutil.HelperEnv(helper), Files: []*os.File{nil, f, os.Stderr}, Sys: &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		t.Fatal(err)
	}
	pid := p.Pid // Release takes it away
	p.Release()  // reaped with all others
	sessions[pid] = true
	return pid
}

// supervise is init and murderer until main ends: it starts callers, kills each
// at a random moment, and reaps whatever there is.
func supervise(t *testing.T, main int, sessions map[int]bool) (ended unix.WaitStatus, killed int) {
	victim, die := 0, time.Time{}
	for {
		var ws unix.WaitStatus
		pid, _ := unix.Wait4(-1, &ws, unix.WNOHANG, nil)
		switch {
		case pid == main:
			if victim != 0 {
				kill(victim, unix.SIGKILL)
				killed++
			}
			return ws, killed
		case pid > 0 && pid == victim:
			victim = 0
			if ws.Signal() != unix.SIGKILL {
				t.Errorf("a caller ended by itself: %#x", ws)
			}
		case pid > 0:
		case victim == 0:
			victim = startSession(t, callerHelper, os.DevNull, []string{"helper"}, sessions)
			die = time.Now().Add(time.Duration(rand.IntN(400)) * time.Millisecond)
		case !die.IsZero() && time.Now().After(die):
			kill(victim, unix.SIGKILL)
			killed++
			die = time.Time{}
		default:
			time.Sleep(time.Millisecond)
		}
	}
}

func reapAll() {
	for {
		if pid, _ := unix.Wait4(-1, nil, unix.WNOHANG, nil); pid <= 0 {
			return
		}
	}
}

// faults says what is wrong with the counts, of each strategy and of all.
func (r *soakResult) faults(sums map[string]map[string]int, at remains) (wrong []string) {
	check := func(bad bool, what string) {
		if bad {
			wrong = append(wrong, what)
		}
	}
	total := sums["all"]
	check(total["false"] > 0, "false statuses")
	check(r.Leaks != "", "leaks")
	check(len(at.files) > 0, fmt.Sprintf("left in the directory for temporary files: %q", at.files))
	check(r.Growth > soakGrowth, fmt.Sprintf("the caller's memory has grown by %d KiB", r.Growth>>10))
	check(total["odd"] > 0, "starts failed or statuses were lost, and not because a waiter was killed")
	check(r.ExitInfo && total["lost"] > 0, "statuses are lost although the kernel keeps them")
	// What a waiter is killed with is lost, or refused, and no more.
	most, broken := r.WaitersKilled*soakWorkers, total["refused"]
	for _, name := range []string{"waiter", "waiter dedicated"} {
		broken += sums[name]["lost"]
	}
	check(broken > most, fmt.Sprintf("waiters broke off %d, although those that were killed had %d at most", broken, most))
	for _, name := range soakStrategies {
		// Of waiters of their own there are few: none, in a very short time.
		check(sums[name]["true"] == 0 && at.d >= soakEnough, name+": no status at all was true")
	}
	check(total["true"] == 0, "nothing was done")
	check(r.WaitersKilled == 0 && at.d >= soakEnough, "no waiter was killed")
	check(at.callers == 0 && at.d >= soakEnough, "no caller was killed")
	return wrong
}

// report prints the table and judges.
func (r *soakResult) report(t *testing.T, at remains) {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "strategy\tchildren\ttrue\tlost\tfalse\tstarts refused\t")
	sums, total := map[string]map[string]int{}, map[string]int{}
	var notes []string
	for _, name := range soakStrategies {
		sum := map[string]int{}
		for outcome, n := range r.Outcomes[name] {
			kind, why, _ := strings.Cut(outcome, ": ")
			sum[kind] += n
			if why != "" {
				notes = append(notes, fmt.Sprintf("%s, %d %s: %s", name, n, kind, why))
			}
		}
		sum["children"] = sum["true"] + sum["lost"] + sum["false"]
		sums[name] = sum
		row(w, name, sum)
		for kind, n := range sum {
			total[kind] += n
		}
	}
	row(w, "all", total)
	w.Flush()
	slices.Sort(notes)
	fmt.Printf("%s%s\n", &b, strings.Join(append(notes, ""), "\n"))
	fmt.Printf("%v, %s children per second, %d waiters killed, %d callers killed\n", at.d,
		strconv.FormatFloat(float64(total["children"])/at.d.Seconds(), 'f', 0, 64), r.WaitersKilled, at.callers)
	fmt.Printf("left behind: in the caller %q and %d KiB, of killed callers %d processes, of all %d files\n",
		r.Leaks, r.Growth>>10, at.processes, len(at.files))
	sums["all"] = total
	for _, what := range r.faults(sums, at) {
		t.Error(what)
	}
}

func row(w *tabwriter.Writer, name string, n map[string]int) {
	fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%d\t\n", name, n["children"], n["true"], n["lost"], n["false"], n["refused"])
}
