// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package fuzz

import (
	"fmt"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/seed-cb702d51/tfork-go/internal/testutil"
	"github.com/seed-cb702d51/tfork-go/tfork"
)

// inventory is what a process has before something that must leave nothing.
type inventory struct {
	fds        map[string]string
	goroutines int
	groups     string // the cgroup below which none may stay; empty: not looked at
}

func takeInventory(groups string) inventory {
	return inventory{testutil.FDs(), runtime.NumGoroutine(), groups}
}

// leftovers lists what is there now and was not then.
func (i inventory) leftovers() string {
	var left []string
	testutil.PollFor(patience/3, func() bool {
		tfork.CloseIdle()
		left = left[:0]
		for fd, to := range testutil.FDs() {
			if i.fds[fd] == "" && !runtimeFD(to) {
				left = append(left, "fd "+fd+" -> "+to)
			}
		}
		for _, pid := range children() {
			left = append(left, fmt.Sprint("child ", pid, " ", testutil.StateOf(pid)))
		}
		if now := runtime.NumGoroutine(); now > i.goroutines {
			buf := make([]byte, 1<<16)
			left = append(left, fmt.Sprintf("%d goroutines: %s", now-i.goroutines, buf[:runtime.Stack(buf, true)]))
		}
		if i.groups != "" {
			left = append(left, i.groupsNow()...)
		}
		return len(left) == 0
	})
	return strings.Join(left, "; ")
}

// groupsNow are the cgroups that are there.
func (i inventory) groupsNow() []string {
	files, err := filepath.Glob(filepath.Join(i.groups, "*", "cgroup.procs"))
	if err != nil {
		return []string{err.Error()}
	}
	return files
}

// removeGroups gives the next attempt the chance to leave nothing.
func (i inventory) removeGroups() {
	if i.groups != "" {
		for _, file := range i.groupsNow() {
			unix.Rmdir(filepath.Dir(file))
		}
	}
}
