// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package waiter

import (
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-cb702d51/tfork-go/internal/role"
	"github.com/seed-cb702d51/tfork-go/internal/sys"
)

// argv0 is the name under which ps shows a waiter.
const argv0 = "tfork-waiter"

// waiterFD is the number of the waiter's end of the socket in the waiter.
const waiterFD = 3

// waiterEnv is the waiter's whole environment, beside its role. The settings
// are the Go runtime's own:
var waiterEnv = []string{
	// It opens no cgroup files to find its CPU limit,
	"GODEBUG=containermaxprocs=0,updatemaxprocs=0",
	// and does not hide a race that is found in it: its standard error is
	// /dev/null.
	"GORACE=halt_on_error=1 atexit_sleep_ms=0",
}

// launch starts a waiter. It does not wait for it: a request that is sent at
// once is served as soon as the waiter can. So many of its threads start workers.
func launch(threads int) (*conn, error) {
	proc, ours, err := startWaiter(threads)
	if err != nil {
		return nil, fmt.Errorf("start of a waiter: %w", err)
	}
	raw, err := ours.SyscallConn()
	if err != nil {
		return nil, err
	}
	c := &conn{
		proc: proc, waiterPid: proc.Pid, file: ours, raw: raw,
		gone:    make(chan struct{}),
		workers: map[uint64]*Worker{},
		signals: map[uint64]chan uint32{},
	}
	go c.read()
	return c, nil
}

// startWaiter starts the process, and returns our end of its socket.
func startWaiter(threads int) (*os.Process, *os.File, error) {
	if err := sys.OpenPoller(); err != nil {
		return nil, nil, err
	}
	ours, theirs, err := socketPair()
	if err != nil {
		return nil, nil, err
	}
	defer theirs.Close()
	var undo sys.Cleanup
	defer undo.Run()
	undo.Add(func() { ours.Close() })
	// What the poller did not take has no deadlines; and no reason is given.
	if err := ours.SetDeadline(time.Time{}); err != nil {
		return nil, nil, fmt.Errorf("the network poller does not take its socket (epoll(7), max_user_watches): %w", err)
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, nil, err
	}
	defer null.Close()
	// Package os asks once whether there are process descriptors, and takes a
	// lack of room for a no that holds for ever: for all of this process.
	if err := sys.Room(); err != nil {
		return nil, nil, err
	}
	marker := role.Role{Kind: role.Waiter, FD: waiterFD}.Marker()
	proc, err := os.StartProcess(role.Exe, []string{argv0}, &os.ProcAttr{
		Env:   append([]string{marker, fmt.Sprint("GOMAXPROCS=", shares(threads))}, waiterEnv...),
		Files: []*os.File{null, null, null, theirs},
	})
	if err != nil {
		return nil, nil, err
	}
	undo.Disarm()
	return proc, ours, nil
}

// socketPair makes the two ends. The kernel stamps what goes to theirs with
// the sender's credentials from the first message on.
func socketPair() (ours, theirs *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	err = os.NewSyscallError("setsockopt", unix.SetsockoptInt(fds[1], unix.SOL_SOCKET, unix.SO_PASSCRED, 1))
	if err == nil {
		err = os.NewSyscallError("fcntl", unix.SetNonblock(fds[0], true))
	}
	if err != nil {
		closeAll(fds[:])
		return nil, nil, err
	}
	return os.NewFile(uintptr(fds[0]), "tfork-waiter socket"), os.NewFile(uintptr(fds[1]), "tfork-waiter socket"), nil
}
