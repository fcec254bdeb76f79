// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// tick is the kernel's unit of processor time in /proc (USER_HZ, proc_pid_stat(5)).
const tick = 10 * time.Millisecond

// tree is a process and all below it, at one moment.
type tree []int

// treeOf finds the descendants of a process.
func treeOf(root int) tree {
	below := map[int][]int{}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		if f := statFields(path); len(f) > 1 {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
			ppid, _ := strconv.Atoi(f[1])
			below[ppid] = append(below[ppid], pid)
		}
	}
	all := tree{root} // it grows while it is looked through
	for i := 0; i < len(all); i++ {
		all = append(all, below[all[i]]...)
	}
	return all
}

// statFields are those of /proc/PID/stat after the name, which may contain
// anything: state, parent, and so on.
func statFields(path string) []string {
	b, _ := os.ReadFile(path)
	s := string(b)
	return strings.Fields(s[strings.LastIndexByte(s, ')')+1:])
}

// cpu is the processor time that all processes have used so far, in user mode
// (field 14 of proc_pid_stat(5)) and in the kernel (15).
func (t tree) cpu() (sum time.Duration) {
	for _, pid := range t {
		if f := statFields(fmt.Sprintf("/proc/%d/stat", pid)); len(f) > 12 {
			user, _ := strconv.Atoi(f[11])
			system, _ := strconv.Atoi(f[12])
			sum += time.Duration(user+system) * tick
		}
	}
	return sum
}

// memory is what the processes take together in bytes: what several share
// counts once (Pss).
func (t tree) memory() (sum int) {
	for _, pid := range t {
		b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
		for line := range strings.Lines(string(b)) {
			if rest, ok := strings.CutPrefix(line, "Pss:"); ok {
				kib, _ := strconv.Atoi(strings.Fields(rest)[0])
				sum += kib << 10
			}
		}
	}
	return sum
}
