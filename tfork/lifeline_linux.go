// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package tfork

import (
	"errors"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/seed-cb702d51/tfork-go/internal/sys"
)

// lifeline is a pipe that is never written to: every worker function holds its
// reading end, this process alone its writing end, so that its end is theirs
// to see. There is one for all, open while a worker function runs.
var lifeline struct {
	sync.Mutex
	users int
	r, w  int
}

// grabLifeline lends the reading end until releaseLifeline.
func grabLifeline() (fd int, err error) {
	lifeline.Lock()
	defer lifeline.Unlock()
	if lifeline.users == 0 {
		var p [2]int
		if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
			return -1, os.NewSyscallError("pipe2", err)
		}
		lifeline.r, lifeline.w = p[0], p[1]
	}
	lifeline.users++
	return lifeline.r, nil
}

func releaseLifeline() {
	lifeline.Lock()
	defer lifeline.Unlock()
	lifeline.users--
	if lifeline.users == 0 {
		unix.Close(lifeline.r)
		unix.Close(lifeline.w)
	}
}

// lifelineEnd is the worker's end.
type lifelineEnd struct{ file *os.File }

// openLifelineEnd takes fd. All workers share its description, which nobody
// reads from: non-blocking suits them all.
func openLifelineEnd(fd int) (lifelineEnd, error) {
	unix.CloseOnExec(fd)
	if err := sys.OpenPoller(); err != nil {
		return lifelineEnd{}, err
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		return lifelineEnd{}, os.NewSyscallError("fcntl", err)
	}
	return lifelineEnd{os.NewFile(uintptr(fd), "tfork lifeline")}, nil
}

// await parks until the other end is closed. Where the network poller does not
// take the descriptor (epoll(7), max_user_watches) a read does not wait, and this
// blocks a thread.
func (l lifelineEnd) await() {
	raw, err := l.file.SyscallConn()
	if err != nil {
		return // never: it is for no file at all
	}
	for {
		_, err := l.file.Read(make([]byte, 1))
		if !errors.Is(err, unix.EAGAIN) {
			return
		}
		raw.Control(func(fd uintptr) { // interrupted, it is read and polled again
			unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, -1)
		})
	}
}
