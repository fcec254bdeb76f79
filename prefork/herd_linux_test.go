// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package prefork

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/seed-cb702d51/tfork-go/internal/testutil"
)

// TestServer_OnlyWorkersWatchTheSockets: supervisor and master hold the sockets
// and are not woken for what comes in, and handing the sockets to a successor
// does not make them blocking under the others.
func TestServer_OnlyWorkersWatchTheSockets(t *testing.T) {
	forEachStrategy(t, func(t *testing.T) {
		s := start(t, "children = 2\nbackoff-increment = 0", echoService)
		check := func() {
			t.Helper()
			for _, name := range []string{"supervisor", "master-echo"} {
				held := heldSockets(t, s.pid(name), s.addrs[echoService])
				if len(held) != 2 {
					t.Errorf("%s holds %d of the 2 sockets", name, len(held))
				}
				for _, h := range held {
					if h.watched {
						t.Errorf("%s is woken for what comes in at %s", name, h.port)
					}
					if h.flags&unix.O_NONBLOCK == 0 {
						t.Errorf("port %s is blocking", h.port)
					}
				}
			}
		}
		check()
		for _, who := range []string{"worker-echo-0", "master-echo"} {
			old := s.pids()
			s.kill(syscall.SIGKILL, who)
			s.renewed(old, who, "worker-echo-0")
			check()
		}
		echoed(t, "tcp", s.addrs[echoService][0])
		echoed(t, "udp", s.addrs[echoService][1])
	})
}

// held is a descriptor of a listening socket in some process.
type held struct {
	port    string
	flags   int  // of open(2)
	watched bool // it is in an epoll of the process
}

// heldSockets finds the sockets of these addresses in a process.
func heldSockets(t *testing.T, pid int, addrs []string) (found []held) {
	t.Helper()
	inodes := map[string]string{} // what /proc/PID/fd shows, and the port
	for _, a := range addrs {
		port := a[strings.LastIndexByte(a, ':')+1:]
		n, _ := strconv.Atoi(port)
		for _, table := range []string{"/proc/net/tcp", "/proc/net/udp"} {
			for line := range strings.Lines(readFile(t, table)) {
				f := strings.Fields(line)
				// The tenth field is the inode, the third the other end: nobody.
				if len(f) > 9 && strings.HasSuffix(f[1], fmt.Sprintf(":%04X", n)) && strings.HasSuffix(f[2], ":0000") {
					inodes["socket:["+f[9]+"]"] = port
				}
			}
		}
	}
	watched := watchedFDs(pid)
	for fd, to := range testutil.FDsOf(pid) {
		if port := inodes[to]; port != "" {
			h := held{port: port, watched: watched[fd]}
			info, _ := os.ReadFile(fmt.Sprintf("/proc/%d/fdinfo/%s", pid, fd))
			if _, rest, ok := strings.Cut(string(info), "flags:"); ok {
				fmt.Sscanf(rest, "%o", &h.flags)
			}
			found = append(found, h)
		}
	}
	return found
}

// watchedFDs are the descriptors that are in an epoll of the process
// (proc_pid_fdinfo(5): "tfd").
func watchedFDs(pid int) map[string]bool {
	watched := map[string]bool{}
	infos, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fdinfo/*", pid))
	for _, path := range infos {
		info, _ := os.ReadFile(path)
		for line := range strings.Lines(string(info)) {
			if f := strings.Fields(line); len(f) > 1 && f[0] == "tfd:" {
				watched[f[1]] = true
			}
		}
	}
	return watched
}
