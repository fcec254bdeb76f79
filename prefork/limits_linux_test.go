// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package prefork

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/seed-cb702d51/tfork-go/internal/testutil"
)

func TestServer_Recycling(t *testing.T) {
	for _, service := range []string{httpService, aloneService} {
		t.Run(service, func(t *testing.T) {
			t.Parallel()
			s := start(t, "children = 2\nmax-requests = 10\nrecycle-jitter = 0.5\nheartbeat-timeout = \"3s\"", service)
			seenPids := map[int]bool{}
			testutil.Poll(t, patience, "the process was replaced twice", func() bool {
				seenPids[s.see(service).Pid] = true
				return len(seenPids) >= 5 || service == aloneService && len(seenPids) >= 3
			})
			s.unique()
			if s.logLine("level=ERROR") != "" {
				t.Errorf("an error: %s", s.logLine("level=ERROR"))
			}
		})
	}
}

func TestServer_LimitsOfWorkers(t *testing.T) {
	settings := "children = 1\nnice = 3\nrlimit-nofile = 500\ncpus = [0]"
	uid := os.Getuid()
	if uid == 0 {
		settings += "\nuser = \"65534\""
		uid = 65534
		// The worker executes the program again: it must be allowed to.
		for dir := filepath.Dir(testutil.Exe()); dir != "/"; dir = filepath.Dir(dir) {
			if info, err := os.Stat(dir); err != nil || info.Mode()&0o001 == 0 {
				t.Logf("%s is closed to others: /proc/self/exe must do", dir)
			}
		}
	}
	forEachStrategy(t, func(t *testing.T) {
		s := start(t, settings, httpService)
		got := s.see(httpService)
		if got.Nice != 3 || got.NoFile != 500 || got.CPUs != 1 || got.Uid != uid {
			t.Errorf("the worker has %+v", got)
		}
		if s.pid("worker-http-0") != got.Pid {
			t.Error("a worker of another user has no name of its own")
		}
	})
}

// TestServer_EachChannelHasOneHolder: of all sockets only those that listen are
// in two processes.
func TestServer_EachChannelHasOneHolder(t *testing.T) {
	forEachStrategy(t, func(t *testing.T) {
		s := start(t, "children = 3", httpService, echoService)
		old := s.pids()
		s.kill(syscall.SIGKILL, "worker-http-1") // also after restarts
		s.renewed(old, "worker-http-1")
		shared := readFile(t, "/proc/net/tcp") + readFile(t, "/proc/net/udp")
		holders := map[string][]string{}
		for name, pid := range s.pids() {
			own := map[string]bool{}
			for _, to := range testutil.FDsOf(pid) {
				if inode, ok := strings.CutPrefix(to, "socket:["); ok && !own[inode] {
					own[inode] = true
					holders[strings.TrimSuffix(inode, "]")] = append(holders[strings.TrimSuffix(inode, "]")], name)
				}
			}
		}
		for inode, names := range holders {
			if len(names) > 1 && !strings.Contains(shared, " "+inode+" ") {
				slices.Sort(names)
				t.Errorf("socket %s is held by %v", inode, names)
			}
		}
	})
}
