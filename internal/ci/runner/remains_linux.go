// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// dying is how long killed processes may take. One that sits in the kernel for
// longer is left there, rather than keep everything else from being tested.
const dying = 30 * time.Second

// clearRemains reaps until no descendant is left, for at most patience; then
// it kills them, and returns what they were.
func clearRemains(patience time.Duration) (left []string) {
	if reapUntilAlone(patience) {
		return nil
	}
	for pid, what := range descendants() {
		left = append(left, fmt.Sprintf("%d %s", pid, what))
	}
	if !killDescendants(func() bool { return reapUntilAlone(100 * time.Millisecond) }) {
		left = append(left, "and SIGKILL does not end them")
	}
	return left
}

// killDescendants kills until alone says that there are none, and tells
// whether it did. Once is not enough: a process may start another before it
// dies.
func killDescendants(alone func() bool) bool {
	for end := time.Now().Add(dying); time.Now().Before(end); {
		for pid := range descendants() {
			unix.Kill(pid, unix.SIGKILL)
		}
		if alone() {
			return true
		}
	}
	return false
}

// ending is set when all is to end: nobody reports anything from then on.
var ending atomic.Bool

// endWithUs makes SIGTERM end everything below this process before itself.
// Whoever waits for children meanwhile goes on reaping them.
func endWithUs() {
	term := make(chan os.Signal, 1)
	signal.Notify(term, unix.SIGTERM, unix.SIGINT)
	go func() {
		<-term
		ending.Store(true)
		killDescendants(func() bool {
			time.Sleep(10 * time.Millisecond)
			return len(descendants()) == 0
		})
		os.Exit(1)
	}()
}

// reapUntilAlone reaps children until there is none, and tells whether that
// came to pass in time.
func reapUntilAlone(patience time.Duration) bool {
	for deadline := time.Now().Add(patience); ; {
		pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil)
		switch {
		case err == unix.ECHILD:
			return true
		case err == nil && pid == 0: // alive all of them
			if time.Now().After(deadline) {
				return false
			}
			time.Sleep(2 * time.Millisecond)
		}
	}
}

// descendants lists the processes below this one: pid -> name and arguments.
func descendants() map[int]string {
	parent := map[int]int{}
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		pid, _ := strconv.Atoi(filepath.Base(dir))
		if b, err := os.ReadFile(dir + "/stat"); err == nil {
			parent[pid] = parentIn(string(b))
		}
	}
	found := map[int]string{}
	for pid := range parent {
		for up := parent[pid]; up != 0; up = parent[up] {
			if up == os.Getpid() {
				found[pid] = describe(pid)
				break
			}
		}
	}
	return found
}

// parentIn finds the ppid in the text of /proc/PID/stat.
func parentIn(stat string) int {
	if f := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:]); len(f) > 1 {
		ppid, _ := strconv.Atoi(f[1])
		return ppid
	}
	return 0
}

func describe(pid int) string {
	comm, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	cmdline, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return fmt.Sprintf("%s (%s)", bytes.TrimSpace(comm), bytes.ReplaceAll(bytes.TrimRight(cmdline, "\x00"), []byte{0}, []byte{' '}))
}
