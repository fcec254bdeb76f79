// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package testutil

import (
	"net"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// Unixgram is a datagram socket in a directory of the test's own; its address is
// its path. It is closed when the test ends.
func Unixgram(t testing.TB) *net.UnixConn {
	t.Helper()
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(t.TempDir(), "socket"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// FillQueue sends to a datagram socket until it takes no more. Each datagram has
// a sender of its own, whose send buffer is not what is full.
func FillQueue(t testing.TB, path string) {
	t.Helper()
	for {
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		err = unix.Sendto(fd, []byte("X=1"), 0, &unix.SockaddrUnix{Name: path})
		unix.Close(fd)
		if err == unix.EAGAIN {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}
