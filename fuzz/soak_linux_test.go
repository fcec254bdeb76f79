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
	"runtime"
	"strings"
	"sync"
	"syscall"
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
// have happened that is random. In the last of soakPeace parts of the time no waiter
// is killed: one serves many starts, and shows what it keeps of them. soakGrowth is
// how much more the caller's heap may hold at the end: some 30 KiB were measured, and
// 100 bytes for each start through a waiter would be 4 MiB in a minute.
const (
	soakWorkers = 8
	soakEnough  = 10 * time.Second
	soakPeace   = 10
	soakGrowth  = 4 << 20
)

// soakStrategies are the kinds of workers, as the table names them.
var soakStrategies = []string{"direct", "waiter", "waiter dedicated"}

// soakResult is what a soaked caller counts.
type soakResult struct {
	mu sync.Mutex
	// Outcomes counts by strategy, then by outcome: "true", "false", "lost: why",
	// "refused: why", "odd: why" for what failed for another reason than that its
	// waiter was killed.
	Outcomes      map[string]map[string]int
	WaitersKilled int
	Leaks         string
	Growth        int64 // of the memory in use
	ExitInfo      bool

	kills killLog
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
	fresh, before, memory := waiterFDs(), takeInventory(""), memoryInUse()
	r := &soakResult{Outcomes: map[string]map[string]int{}}
	if report, err := tfork.Probe(); err == nil {
		r.ExitInfo = exitInfoKept(report)
	}
	peace, stop := make(chan struct{}), make(chan struct{})
	var all sync.WaitGroup
	for range soakWorkers {
		all.Go(func() { r.load(stop, args[1:]) })
	}
	all.Go(func() { r.killWaiters(peace, args[1]) })
	all.Go(func() { playWithSIGCHLD(stop) })
	time.Sleep(d - d/soakPeace)
	close(peace)
	time.Sleep(d / soakPeace)
	close(stop)
	all.Wait()
	r.kills.settled.Wait()
	kept := ""
	testutil.PollFor(patience/3, func() bool { kept = waiterFDs(); return kept == fresh })
	if r.Leaks = before.leftovers(); kept != fresh {
		r.Leaks += fmt.Sprintf("; a waiter has the descriptors %s, a new one %s", kept, fresh)
	}
	r.Growth = memoryInUse() - memory
	json.NewEncoder(os.Stdout).Encode(r)
	return 0
})

// waiterFDs lists what the shared waiter has open, which is started if there is
// none.
func waiterFDs() string {
	if err := works(shared); err != nil {
		return err.Error()
	}
	var all []string
	for _, pid := range waitersOf(os.Getpid()) {
		for _, fd := range testutil.SortedFDs(pid) {
			kind, _, _ := strings.Cut(fd, "[")
			all = append(all, kind)
		}
	}
	return strings.Join(all, ", ")
}

// memoryInUse is what the caller's heap holds when all that is dead is gone.
func memoryInUse() int64 {
	var m runtime.MemStats
	for range 3 { // what a cleanup or a pool held is free after the next ones
		runtime.GC()
		runtime.ReadMemStats(&m)
	}
	return int64(m.HeapAlloc)
}

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
	begin := time.Now()
	if err := c.Start(); err != nil {
		kind := "odd: "
		if c.Strategy == tfork.Waiter && r.kills.refusal(err, begin) {
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
	case errors.Is(statusErr, tfork.ErrLost) && c.Strategy == tfork.Waiter && r.kills.during(begin, time.Now()) == 0:
		r.count(name, "odd: no waiter was killed: "+statusErr.Error())
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

// killWaiters kills or stops the waiters at random moments, about twice a second.
// The program is for [killLog.kill].
func (r *soakResult) killWaiters(stop <-chan struct{}, program string) {
	for !stopped(stop) {
		time.Sleep(time.Duration(rand.IntN(1000)) * time.Millisecond)
		for _, pid := range waitersOf(os.Getpid()) {
			if rand.IntN(2) == 0 {
				r.WaitersKilled += r.kills.kill(program, pid)
			} else {
				kill(pid, unix.SIGSTOP)
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
