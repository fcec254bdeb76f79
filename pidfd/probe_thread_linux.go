// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package pidfd

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-cb702d51/tfork-go/internal/feature"
	"github.com/seed-cb702d51/tfork-go/internal/sys"
)

// Two features show only on something that has ended and was reaped. A process
// of ours would be seen: by SIGCHLD, by a foreign wait4(-1). A thread is not,
// and to the kernel's process descriptors it is just the same (from 6.9, like
// the features themselves). So a thread of the Go runtime is made to end: the
// runtime ends the thread of a goroutine that returns while locked to it, and
// makes a new one when it needs one.

// wnothread limits waitid to the children of the calling thread (__WNOTHREAD).
const wnothread = 0x20000000

// testHangup: POLLHUP comes up when the thread is gone. (Before 6.9 there is
// neither PIDFD_THREAD nor POLLHUP.)
func testHangup() error { return withDeadThread(fine) }

// testExitInfo: the answer about something that is gone has the EXIT bit.
// Before 6.15 the request's bit is ignored, and then it is ESRCH.
func testExitInfo() error {
	if err := infoProbe.Have(); isAbsent(err) {
		return feature.Absent(errors.Unwrap(err))
	} else if err != nil {
		return err
	}
	return withDeadThread(func(fd int) error {
		i, err := getInfo(fd, unix.PIDFD_INFO_EXIT)
		if err == nil && i.mask&unix.PIDFD_INFO_EXIT == 0 {
			return feature.Absent(fmt.Errorf("ioctl PIDFD_GET_INFO answers without it: mask %#x", i.mask))
		}
		return judge("ioctl", err, unix.ESRCH, unix.EINVAL)
	})
}

// withDeadThread calls test with the descriptor of a thread that is gone.
func withDeadThread(test func(fd int) error) error {
	if err := threadProbe.Have(); isAbsent(err) {
		return feature.Absent(err)
	} else if err != nil {
		return err
	}
	fd, err := endThread()
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	// Nothing else can keep an ended thread from being gone than a tracer.
	const patience = 10 * time.Second
	for deadline := time.Now().Add(patience); ; {
		events, err := pollFor(fd, 100*time.Millisecond)
		switch {
		case err != nil:
			return err
		case events&unix.POLLHUP != 0:
			return test(fd)
		case time.Now().After(deadline):
			return fmt.Errorf("a thread of this process did not end within %v (traced?)", patience)
		}
		// Not time.Sleep: the first timer of a program makes the runtime open an
		// epoll instance, and abort the process if there is no descriptor left.
		unix.Poll(nil, 1)
	}
}

// endThread ends a thread of the runtime and returns its descriptor.
//
// Not any thread will do. The main thread cannot end. One that has children
// must not: they would get the parent-death signal that they asked for, which
// is sent when the thread dies that started them. Nor one that traces. The
// goroutine on an unsuitable thread keeps it until another has been found, so
// that the next goroutine gets another thread, a new one in the end.
func endThread() (int, error) {
	const most = 64
	found := make(chan result, 1)
	enough := make(chan struct{})
	defer close(enough)
	for range most {
		go offerThread(found, enough)
		if r := <-found; r.fd >= 0 || r.err != nil {
			return r.fd, r.err
		}
	}
	return -1, fmt.Errorf("no thread among %d that may be ended: all have children", most)
}

// result of one offer: a descriptor, an error, or neither (-1, nil).
type result struct {
	fd  int
	err error
}

func offerThread(found chan<- result, enough <-chan struct{}) {
	runtime.LockOSThread()
	if !expendable() {
		found <- result{fd: -1}
		<-enough
		runtime.UnlockOSThread()
		return
	}
	fd, err := unix.PidfdOpen(unix.Gettid(), unix.PIDFD_THREAD)
	if err != nil {
		runtime.UnlockOSThread()
		found <- result{-1, os.NewSyscallError("pidfd_open", err)}
		return
	}
	found <- result{fd, nil} // and return without unlocking: the thread ends
}

// expendable tells whether the calling thread may end: ECHILD says that it has
// no child and traces nobody. WNOWAIT leaves any status where it is.
func expendable() bool {
	if unix.Gettid() == os.Getpid() {
		return false
	}
	_, err := sys.WaitID(unix.P_ALL, 0, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT|unix.WALL|wnothread)
	return isErrno(err, unix.ECHILD)
}

func isAbsent(err error) bool { return errors.Is(err, ErrNotSupported) }
