// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package fuzz

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/seed-cb702d51/tfork-go/internal/testutil"
)

// view lists what the kernel knows about a worker that has done nothing yet
// but being executed: everything that it took over from its start.
func view(pid int) []string {
	// Start returns when the program is certain to be executed, not when the
	// kernel has done so: it sleeps only after that.
	testutil.PollFor(patience, func() bool { return testutil.StateOf(pid) == "S" && commOf(pid) == "pause" })
	proc := fmt.Sprintf("/proc/%d/", pid)
	v := []string{
		fmt.Sprintf("argv %q", split(proc+"cmdline")),
		fmt.Sprintf("environ %q", split(proc+"environ")),
	}
	for _, link := range []string{"cwd", "root"} {
		to, err := os.Readlink(proc + link)
		v = append(v, fmt.Sprintf("%s %s %v", link, to, err == nil))
	}
	v = append(v, fdTable(proc)...)
	v = append(v, statusLines(proc)...)
	v = append(v, groups(pid, proc)...)
	for _, name := range []string{"limits", "oom_score_adj", "timerslack_ns", "personality", "coredump_filter", "cgroup"} {
		b, _ := os.ReadFile(proc + name)
		v = append(v, name+" "+string(b))
	}
	return append(v, namespaces(proc)...)
}

func commOf(pid int) string {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	return strings.TrimSpace(string(b))
}

func split(file string) []string {
	b, err := os.ReadFile(file)
	if err != nil {
		return []string{err.Error()}
	}
	return strings.Split(string(bytes.TrimSuffix(b, []byte{0})), "\x00")
}

// fdTable lists descriptors: what each is, its flags, and which are the same.
func fdTable(proc string) []string {
	var out []string
	entries, _ := os.ReadDir(proc + "fd")
	slices.SortFunc(entries, func(a, b os.DirEntry) int { return number(a.Name()) - number(b.Name()) })
	anonymous := map[string]int{}
	for _, e := range entries {
		to, _ := os.Readlink(proc + "fd/" + e.Name())
		if kind, _, ok := strings.Cut(to, ":["); ok {
			if _, seen := anonymous[to]; !seen {
				anonymous[to] = len(anonymous)
			}
			to = fmt.Sprintf("%s #%d", kind, anonymous[to])
		}
		flags := "?"
		info, _ := os.ReadFile(proc + "fdinfo/" + e.Name())
		for line := range strings.Lines(string(info)) {
			if f, ok := strings.CutPrefix(line, "flags:"); ok {
				flags = strings.TrimSpace(f)
			}
		}
		if to == os.DevNull {
			flags = "any" // difference "null device"
		}
		out = append(out, fmt.Sprintf("fd %s %s flags %s", e.Name(), to, flags))
	}
	return out
}

func number(s string) int {
	n, _ := strconv.Atoi(s)
	return n
}

// inherited are the lines of /proc/PID/status that a process takes over from
// the one that starts it.
var inherited = []string{
	"Name", "Umask", "Uid", "Gid", "Groups", "ShdPnd", "SigPnd", "SigBlk", "SigIgn", "SigCgt",
	"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp", "Seccomp_filters",
	"Cpus_allowed", "Mems_allowed", "Threads", "Speculation_Store_Bypass", "CoreDumping",
}

func statusLines(proc string) []string {
	var out []string
	b, _ := os.ReadFile(proc + "status")
	for line := range strings.Lines(string(b)) {
		if key, _, _ := strings.Cut(line, ":"); slices.Contains(inherited, key) {
			out = append(out, strings.TrimSpace(line))
		}
	}
	return out
}

// groups relates the worker's process group and session to its own pid and to
// ours.
func groups(pid int, proc string) []string {
	relation := func(id, ours int) string {
		switch id {
		case pid:
			return "its own"
		case ours:
			return "the caller's"
		}
		return "another"
	}
	pgid, _ := unix.Getpgid(pid)
	sid, _ := unix.Getsid(pid)
	oursid, _ := unix.Getsid(0)
	nice, _ := unix.Getpriority(unix.PRIO_PROCESS, pid)
	stat, _ := os.ReadFile(proc + "stat")
	f := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	tty, policy := "", ""
	if len(f) > 39 {
		tty, policy = f[4], f[38]
	}
	return []string{fmt.Sprintf("process group %s, session %s, nice %d, tty %s, policy %s",
		relation(pgid, unix.Getpgrp()), relation(sid, oursid), nice, tty, policy)}
}

// namespaces tells which are the caller's.
func namespaces(proc string) []string {
	var out []string
	entries, _ := os.ReadDir(proc + "ns")
	for _, e := range entries {
		theirs, _ := os.Readlink(proc + "ns/" + e.Name())
		ours, _ := os.Readlink("/proc/self/ns/" + e.Name())
		out = append(out, fmt.Sprintf("namespace %s is the caller's: %v", e.Name(), theirs == ours))
	}
	return out
}
