// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package testutil

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sort"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// census counts what a test run must not leave behind.
type census struct {
	fds        map[string]string // number -> what it refers to
	goroutines int
	children   map[int]string // pid -> state and name
}

func takeCensus() census {
	return census{fds: FDs(), goroutines: runtime.NumGoroutine(), children: Children()}
}

// leaksWithin settles until nothing is left over from the time of c, and returns
// the list of what still is when d has passed.
func (c census) leaksWithin(d time.Duration, settle ...func()) string {
	var leaks string
	PollFor(d, func() bool {
		for _, f := range settle {
			f()
		}
		leaks = c.leaks(takeCensus())
		return leaks == ""
	})
	return leaks
}

func (c census) leaks(now census) string {
	var b strings.Builder
	for fd, to := range now.fds {
		if c.fds[fd] == "" && !runtimeFD(to) {
			fmt.Fprintf(&b, "  fd %s -> %s\n", fd, to)
		}
	}
	for pid, what := range now.children {
		if c.children[pid] == "" {
			fmt.Fprintf(&b, "  child %d: %s\n", pid, what)
		}
	}
	// One goroutine more is os/signal's, which never ends once started.
	if now.goroutines > c.goroutines+1 {
		buf := make([]byte, 1<<20)
		buf = buf[:runtime.Stack(buf, true)]
		fmt.Fprintf(&b, "  %d goroutines, were %d:\n%s\n", now.goroutines, c.goroutines, bytes.TrimSpace(buf))
	}
	return b.String()
}

// runtimeFD tells whether the Go runtime opens such a descriptor for itself,
// once: the netpoller's, and cgroup files for GOMAXPROCS.
func runtimeFD(to string) bool {
	return to == "anon_inode:[eventpoll]" || to == "anon_inode:[eventfd]" ||
		strings.HasPrefix(to, "/sys/fs/cgroup/") && strings.Contains(to, "cpu")
}

// FDs returns this process's open descriptors: number -> what it refers to.
func FDs() map[string]string { return FDsOf(os.Getpid()) }

// FDsOf returns another process's open descriptors. The one that reads the
// directory is left out.
func FDsOf(pid int) map[string]string {
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	fds := map[string]string{}
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if to, err := os.Readlink(filepath.Join(dir, e.Name())); err == nil {
			fds[e.Name()] = to
		}
	}
	return fds
}

// InheritableFDs returns those of [FDs] that an executed program would get:
// what this process itself was given.
func InheritableFDs() map[string]string {
	fds := FDs()
	for fd := range fds {
		n, _ := strconv.Atoi(fd)
		flags, err := unix.FcntlInt(uintptr(n), unix.F_GETFD, 0)
		if err != nil || flags&unix.FD_CLOEXEC != 0 {
			delete(fds, fd)
		}
	}
	return fds
}

// Children returns this process's children, zombies too: pid -> state and name.
func Children() map[int]string { return ChildrenOf(os.Getpid()) }

// ChildrenOf returns the children of a process, zombies too.
func ChildrenOf(parent int) map[int]string {
	found := map[int]string{}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, stat := range stats {
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(stat)))
		if name, state, ppid, ok := procStat(pid); ok && ppid == parent {
			found[pid] = state + " " + name
		}
	}
	return found
}

// procStat reads name, state and parent of a process.
func procStat(pid int) (name, state string, ppid int, ok bool) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", "", 0, false
	}
	s := string(b)
	open, end := strings.IndexByte(s, '('), strings.LastIndexByte(s, ')')
	if open < 0 || end < open {
		return "", "", 0, false
	}
	f := strings.Fields(s[end+1:])
	if len(f) < 2 {
		return "", "", 0, false
	}
	ppid, err = strconv.Atoi(f[1])
	return s[open+1 : end], f[0], ppid, err == nil
}

// Alive tells whether a process exists and is not a zombie.
func Alive(pid int) bool {
	_, state, _, ok := procStat(pid)
	return ok && state != "Z" && state != "X"
}

// Exists tells whether a process exists, zombies included.
func Exists(pid int) bool {
	_, _, _, ok := procStat(pid)
	return ok
}

// ParentOf returns a process's parent, or 0.
func ParentOf(pid int) int {
	_, _, ppid, _ := procStat(pid)
	return ppid
}

// StateOf returns the state letter of a process ("S", "T", "Z"), or "".
func StateOf(pid int) string {
	_, state, _, _ := procStat(pid)
	return state
}

// Threads returns the number of threads of a process.
func Threads(pid int) int {
	entries, _ := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	return len(entries)
}

// SortedFDs returns the numbers of FDsOf, in order, as text.
func SortedFDs(pid int) []string {
	var out []string
	for fd, to := range FDsOf(pid) {
		out = append(out, fd+" "+to)
	}
	sort.Strings(out)
	return out
}
