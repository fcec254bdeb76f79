// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package peer

import (
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestStampsThreads_TellsOfPeerCredentials asks the other question as well, which
// takes a second process: whether the kernel names the maker of a socket.
func TestStampsThreads_TellsOfPeerCredentials(t *testing.T) {
	if os.Getenv("PEER_TEST_ASK") != "" {
		maker, err := unix.GetsockoptUcred(0, unix.SOL_SOCKET, unix.SO_PEERCRED)
		if err != nil {
			t.Fatal(err)
		}
		os.Stderr.WriteString(strconv.Itoa(int(maker.Pid)))
		return
	}
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fds[0])
	theirs := os.NewFile(uintptr(fds[1]), "socket")
	defer theirs.Close()
	c := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$")
	c.Env = append(os.Environ(), "PEER_TEST_ASK=1", "GORACE=atexit_sleep_ms=0")
	c.Stdin = theirs
	var said strings.Builder
	c.Stderr = &said
	if err := c.Run(); err != nil {
		t.Fatalf("%v: %s", err, said.String())
	}
	if named := said.String() == strconv.Itoa(os.Getpid()); named == StampsThreads() {
		t.Errorf("the maker is %d, SO_PEERCRED says %s, StampsThreads %v", os.Getpid(), said.String(), StampsThreads())
	}
}
