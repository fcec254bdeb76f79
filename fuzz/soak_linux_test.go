// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package fuzz

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"text/tabwriter"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-cb702d51/tfork-go/internal/sandbox"
	"github.com/seed-cb702d51/tfork-go/internal/testutil"
	"github.com/seed-cb702d51/tfork-go/tfork"
)

// soakKey is in the environment where a soak is wanted: a duration. soakProfile
// may name a profile of package sandbox to do it under.
const (
	soakKey     = "TFORK_SOAK"
	soakProfile = "TFORK_SOAK_PROFILE"
)

// soakWorkers is how many workers there are at once. In soakEnough everything must
// have happened that is random.
const (
	soakWorkers = 8
	soakEnough  = 5 * time.Second
)

// soakStrategies are the kinds of workers, as the table names them.
var soakStrategies = []string{"direct", "waiter", "waiter dedicated"}

// soakResult is what a soaked caller counts.
type soakResult struct {
	mu sync.Mutex
	// Outcomes counts by strategy, then by outcome: "true", "false", "lost: why",
	// "refused: why", "odd: why" for a start that failed for another reason than
	// the end of its waiter.
	Outcomes      map[string]map[string]int
	WaitersKilled int
	Leaks         string
	ExitInfo      bool
}

func (r *soakResult) count(strategy, outcome string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.Outcomes[strategy] == nil {
		r.Outcomes[strategy] = map[string]int{}
	}
	r.Outcomes[strategy][outcome]++
}

// soakCaller starts workers in all strategies for a time, while it plays games
// with SIGCHLD, steals statuses and kills its waiters, and prints what came of
// them as JSON. Its arguments are the time, and the programs that end with
// their number.
var soakCaller = testutil.Helper("soak caller", func(args []string) int {
	d, err := time.ParseDuration(args[0])
	if err != nil {
		fmt.Println(err)
		return 2
	}
	warmThreads()
	works(direct)
	works(shared)
	tfork.CloseIdle()
	testutil.RestoreSIGCHLD() // starts what is started once
	before := takeInventory("")
	r := &soakResult{Outcomes: map[string]map[string]int{}}
	if report, err := tfork.Probe(); err == nil {
		r.ExitInfo = exitInfoKept(report)
	}
	stop := make(chan struct{})
	var all sync.WaitGroup
	for range soakWorkers {
		all.Go(func() { r.load(stop, args[1:]) })
	}
	all.Go(func() { r.killWaiters(stop) })
	all.Go(func() { playWithSIGCHLD(stop) })
	time.Sleep(d)
	close(stop)
	all.Wait()
	r.Leaks = before.leftovers()
	json.NewEncoder(os.Stdout).Encode(r)
	return 0
})

// filteredSoak is the same on what looks like another kernel: its first argument
// is the profile.
var filteredSoak = testutil.Helper("soak caller under a profile", func(args []string) int {
	for _, kv := range testutil.HelperEnv(soakCaller) {
		key, value, _ := strings.Cut(kv, "=")
		os.Setenv(key, value)
	}
	argv := append([]string{testutil.Exe()}, args[1:]...)
	fmt.Fprintln(os.Stderr, sandbox.Exec(args[0], argv))
	return 2
})

func stopped(stop <-chan struct{}) bool {
	select {
	case <-stop:
		return true
	default:
		return false
	}
}

// load runs one worker after the other.
func (r *soakResult) load(stop <-chan struct{}, programs []string) {
	for !stopped(stop) {
		code := rand.IntN(len(programs))
		c := tfork.Command(programs[code])
		want := syscall.WaitStatus(code << 8)
		victim := false
		switch rand.IntN(200) {
		case 0, 1, 2, 3:
			c = tfork.Command("/bin/sh", "-c", "kill -USR1 $$")
			want = syscall.WaitStatus(unix.SIGUSR1)
		case 4, 5, 6, 7:
			c = tfork.Command("/bin/sh", "-c", "cat; exit 9")
			c.Stdin, c.Stdout, c.Stderr = strings.NewReader("x"), new(strings.Builder), new(strings.Builder)
			want = syscall.WaitStatus(9 << 8)
		case 8, 9, 10, 11: // killed at a random moment, by somebody else
			// Not for long: nobody knows the worker of a start that was refused
			// because its waiter was killed.
			c = tfork.Command("/bin/sleep", "20")
			want, victim = syscall.WaitStatus(unix.SIGKILL), true
		}
		name := "direct"
		c.Strategy = tfork.Direct
		switch n := rand.IntN(100); {
		case n < 1:
			name = "waiter dedicated"
			c.Strategy, c.Dedicated = tfork.Waiter, true
		case n < 50:
			name = "waiter"
			c.Strategy = tfork.Waiter
		}
		r.one(name, c, want, victim)
	}
}

// one runs one worker and counts what came of it.
func (r *soakResult) one(name string, c *tfork.Cmd, want syscall.WaitStatus, victim bool) {
	if err := c.Start(); err != nil {
		kind := "odd: "
		if c.Strategy == tfork.Waiter && strings.Contains(err.Error(), "waiter") {
			kind = "refused: "
		}
		r.count(name, kind+err.Error())
		return
	}
	if victim {
		pid := c.Process.Pid
		time.AfterFunc(time.Duration(rand.IntN(5000))*time.Microsecond, func() { kill(pid, unix.SIGKILL) })
	}
	err := c.Wait()
	st, statusErr := c.Process.Status(false)
	switch {
	case errors.Is(statusErr, tfork.ErrLost):
		r.count(name, "lost: "+statusErr.Error())
	case statusErr != nil:
		r.count(name, "false: "+statusErr.Error())
	case st.WaitStatus() != want:
		r.count(name, fmt.Sprintf("false: %v (%v), want %#x", st, err, want))
	default:
		r.count(name, "true")
	}
}

// killWaiters kills the waiters at random moments, about twice a second.
func (r *soakResult) killWaiters(stop <-chan struct{}) {
	for !stopped(stop) {
		time.Sleep(time.Duration(rand.IntN(1000)) * time.Millisecond)
		for _, pid := range waitersOf(os.Getpid()) {
			if sig := []syscall.Signal{unix.SIGKILL, unix.SIGSTOP}[rand.IntN(2)]; kill(pid, sig) == nil && sig == unix.SIGKILL {
				r.WaitersKilled++
			}
		}
	}
}

// playWithSIGCHLD changes what the application does with its children.
func playWithSIGCHLD(stop <-chan struct{}) {
	for !stopped(stop) {
		for end := time.Now().Add(time.Second); time.Now().Before(end) && !stopped(stop); { // a thief
			if pid, _ := unix.Wait4(-1, nil, unix.WNOHANG, nil); pid <= 0 {
				time.Sleep(20 * time.Microsecond)
			}
		}
		signal.Ignore(unix.SIGCHLD)
		time.Sleep(time.Second / 2)
		testutil.RestoreSIGCHLD()
		time.Sleep(time.Second / 2)
	}
}

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
	out := filepath.Join(t.TempDir(), "result")
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
	r.report(t, d, killed, left)
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
func (r *soakResult) faults(sums map[string]map[string]int, d time.Duration, callers int) (wrong []string) {
	check := func(bad bool, what string) {
		if bad {
			wrong = append(wrong, what)
		}
	}
	total := sums["all"]
	check(total["false"] > 0, "false statuses")
	check(r.Leaks != "", "leaks")
	check(total["odd"] > 0, "starts failed, and not for the end of a waiter")
	check(r.ExitInfo && total["lost"] > 0, "statuses are lost although the kernel keeps them")
	// What a waiter is killed with is lost, and no more.
	lost, most := sums["waiter"]["lost"]+sums["waiter dedicated"]["lost"], r.WaitersKilled*soakWorkers
	check(lost > most, fmt.Sprintf("waiters lost %d statuses, although those that were killed had %d at most", lost, most))
	for _, name := range soakStrategies {
		// Of waiters of their own there are few: none, in a very short time.
		check(sums[name]["true"] == 0 && d >= soakEnough, name+": no status at all was true")
	}
	check(total["true"] == 0, "nothing was done")
	check(r.WaitersKilled == 0 && d >= soakEnough, "no waiter was killed")
	check(callers == 0 && d >= soakEnough, "no caller was killed")
	return wrong
}

// report prints the table and judges.
func (r *soakResult) report(t *testing.T, d time.Duration, callers, left int) {
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
	fmt.Printf("%v, %s children per second, %d waiters killed, %d callers killed\n", d,
		strconv.FormatFloat(float64(total["children"])/d.Seconds(), 'f', 0, 64), r.WaitersKilled, callers)
	fmt.Printf("left behind: in the caller %q, of killed callers %d processes\n", r.Leaks, left)
	sums["all"] = total
	for _, what := range r.faults(sums, d, callers) {
		t.Error(what)
	}
}

func row(w *tabwriter.Writer, name string, n map[string]int) {
	fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%d\t\n", name, n["children"], n["true"], n["lost"], n["false"], n["refused"])
}
