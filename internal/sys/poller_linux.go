// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package sys

import (
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// poller tells whether the Go runtime has its network poller. mu keeps one
// rehearsal from taking the descriptors of another's performance.
var poller struct {
	open atomic.Bool
	mu   sync.Mutex
}

// OpenPoller makes the Go runtime open its network poller, as a program's first
// timer and first non-blocking [os.File] do. Without two descriptors to be had
// the runtime does not return an error then, it ends the process: so whoever is
// about to make such a thing calls this before, and has the error.
//
// Between the look and the opening another thread may take the descriptors;
// that is microseconds, once in the life of a process. After a first nil it
// costs nothing.
func OpenPoller() error {
	if poller.open.Load() {
		return nil
	}
	poller.mu.Lock()
	defer poller.mu.Unlock()
	if err := Room(); err != nil {
		return fmt.Errorf("the network poller cannot be opened: %w", err)
	}
	time.AfterFunc(time.Hour, func() {}).Stop()
	poller.open.Store(true)
	return nil
}

// Room is nil if there are two more descriptors to be had at this moment, such
// as the runtime's network poller is made of. It is for what the standard library
// tries once, with two descriptors, and never again.
//
// Whether an epoll instance takes anything (epoll(7), max_user_watches) is not
// asked: the poller may be open and full, and callers cope with that.
func Room() error {
	epfd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return os.NewSyscallError("epoll_create1", err)
	}
	defer unix.Close(epfd)
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return os.NewSyscallError("eventfd", err)
	}
	unix.Close(fd)
	return nil
}
