// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"slices"
	"testing"

	"github.com/seed-cb702d51/tfork-go/tfork"
)

func TestMain(m *testing.M) {
	register()
	tfork.Dispatch()
	if len(os.Args) == 5 && os.Args[1] == serverWord {
		exit(server(os.Args[2:]))
	}
	os.Exit(m.Run())
}

// TestServers: every server answers with each of its workers, and ends.
func TestServers(t *testing.T) {
	for _, kind := range order {
		t.Run(kind, func(t *testing.T) {
			s, err := start(kind, 2)
			if err != nil {
				t.Fatal(err)
			}
			processes := treeOf(s.cmd.Process.Pid)
			if pid, err := once(s.address); err != nil || !slices.Contains(processes, pid) {
				t.Errorf("answered by %d, %v; the server is %v", pid, err, processes)
			}
			if processes.memory() == 0 {
				t.Error("no memory in use")
			}
			if err := s.stop(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestSuccession(t *testing.T) {
	for _, kind := range []string{"fast-net", "tfork-net"} {
		if l, err := succession(kind, 2, "TFORK_STRATEGY=auto"); err != nil || len(l.latencies) != 2 {
			t.Errorf("%s: %v, %v", kind, l.latencies, err)
		}
	}
}
