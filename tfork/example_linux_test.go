// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package tfork_test

import (
	"fmt"
	"log"

	"golang.org/x/sys/unix"

	"github.com/seed-cb702d51/tfork-go/tfork"
)

// The event fd fits an event loop: here two workers in one epoll.
func ExampleProcess_EventFD() {
	epfd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		log.Fatal(err)
	}
	defer unix.Close(epfd)
	workers := map[int32]*tfork.Process{}
	for _, script := range []string{"exec sleep 1000", "exit 2"} {
		cmd := tfork.Command("sh", "-c", script)
		if err := cmd.Start(); err != nil {
			log.Fatal(err)
		}
		defer cmd.Process.Destroy()
		event, err := cmd.Process.EventFD() // ours now
		if err != nil {
			log.Fatal(err)
		}
		defer event.Close()
		conn, _ := event.SyscallConn() // File.Fd would make it blocking
		conn.Control(func(fd uintptr) {
			workers[int32(fd)] = cmd.Process
			unix.EpollCtl(epfd, unix.EPOLL_CTL_ADD, int(fd), &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)})
		})
	}
	events := make([]unix.EpollEvent, 1)
	for {
		if n, err := unix.EpollWait(epfd, events, -1); err == nil && n == 1 {
			break
		}
	}
	status, err := workers[events[0].Fd].Status(false) // does not block
	fmt.Println(status, err)
	// Output: exit status 2 <nil>
}
