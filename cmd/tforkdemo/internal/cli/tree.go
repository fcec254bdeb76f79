// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/seed-cb702d51/tfork-go/tfork"
)

// waiterComm is the name that a waiter has in /proc.
const waiterComm = "tfork-waiter"

// printTree shows the processes that the start of p has made, each below its
// parent, and why they are these.
func (a *app) printTree(p *tfork.Process) {
	a.printf("strategy %v: %s", p.Strategy(), p.StrategyReason())
	indent := ""
	for _, node := range tree(p) {
		if indent == "" {
			a.printf("%s", node)
		} else {
			a.printf("%s└─ %s", indent[3:], node)
		}
		indent += "   "
	}
}

// treeLine is the tree in one line, for batches.
func treeLine(p *tfork.Process) string { return strings.Join(tree(p), " -> ") }

// tree lists the processes from the caller to the worker.
func tree(p *tfork.Process) []string {
	nodes := []string{fmt.Sprintf("caller %d", os.Getpid())}
	if p.Strategy() == tfork.Waiter {
		nodes = append(nodes, waiterOf(p.Pid))
	}
	return append(nodes, fmt.Sprintf("worker %d", p.Pid))
}

// waiterOf names the waiter of a worker: its parent, or if the worker has ended
// already the waiter that we have.
func waiterOf(worker int) string {
	if ppid := procField(fmt.Sprint(worker), "PPid"); ppid != "" && procField(ppid, "Name") == waiterComm {
		return "waiter " + ppid
	}
	lists, _ := filepath.Glob("/proc/self/task/*/children")
	for _, list := range lists {
		children, _ := os.ReadFile(list)
		for child := range strings.FieldsSeq(string(children)) {
			if procField(child, "Name") == waiterComm {
				return "waiter " + child
			}
		}
	}
	return "waiter (gone with its worker)"
}

// procField returns one field of /proc/PID/status, "" where there is none: no
// such process, or no /proc.
func procField(pid, name string) string {
	f, err := os.Open("/proc/" + pid + "/status")
	if err != nil {
		return ""
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if value, ok := strings.CutPrefix(lines.Text(), name+":\t"); ok {
			return value
		}
	}
	return ""
}
