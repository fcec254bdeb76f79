// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package pidfd

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/seed-cb702d51/tfork-go/internal/feature"
	"github.com/seed-cb702d51/tfork-go/internal/sys"
)

// isErrno tells whether err is one of the errnos.
func isErrno(err error, any ...syscall.Errno) bool {
	var errno syscall.Errno
	return errors.As(err, &errno) && slices.Contains(any, errno)
}

// judge is a probe's answer to what a call said. Two answers prove absence in
// every probe: ENOSYS (old kernel, gVisor, seccomp), and EPERM, which only a
// seccomp filter says to a call that needs no permission. The probe adds its
// own to them. Everything else (EMFILE, ENOMEM) leaves the question open.
func judge(call string, err error, alsoAbsent ...syscall.Errno) error {
	if err == nil {
		return nil
	}
	var known *os.SyscallError
	if !errors.As(err, &known) {
		err = os.NewSyscallError(call, err)
	}
	if isErrno(err, append(alsoAbsent, unix.ENOSYS, unix.EPERM)...) {
		return feature.Absent(err)
	}
	return err
}

// expect is for calls that prove a feature by the way they fail: the wanted
// errno is yes, EINVAL is no (an unknown flag or command), success means that
// something else answered.
func expect(call string, err error, want syscall.Errno) error {
	switch {
	case errors.Is(err, want):
		return nil
	case err == nil:
		return feature.Absent(fmt.Errorf("%s: no error where the kernel says %q", call, want))
	}
	return judge(call, err, unix.EINVAL)
}

// withSelf opens a descriptor of this process for test. Where pidfd_open is
// absent, so is whatever needs its descriptor.
func withSelf(flags int, test func(fd int) error) error {
	fd, err := unix.PidfdOpen(os.Getpid(), flags)
	if err != nil {
		// EINVAL: the flag is unknown.
		return judge("pidfd_open", err, unix.EINVAL)
	}
	defer unix.Close(fd)
	return test(fd)
}

func fine(int) error { return nil }

// testOpen: opening ourselves is always allowed.
func testOpen() error { return withSelf(0, fine) }

// testNonblock and testThread: EINVAL is how a kernel refuses an unknown flag.
func testNonblock() error { return withSelf(unix.PIDFD_NONBLOCK, fine) }

func testThread() error { return withSelf(unix.PIDFD_THREAD, fine) }

// testSendSignal: signal 0 to ourselves is always allowed.
func testSendSignal() error {
	return withSelf(0, func(fd int) error {
		return judge("pidfd_send_signal", unix.PidfdSendSignal(fd, 0, nil, 0))
	})
}

// testWait: nobody is his own child, so ECHILD is yes. EINVAL is an unknown
// idtype (before 5.4, gVisor).
func testWait() error {
	return withSelf(0, func(fd int) error {
		_, err := sys.WaitID(unix.P_PIDFD, fd, unix.WEXITED|unix.WNOHANG)
		return expect("waitid", err, unix.ECHILD)
	})
}

// testClonePidfd asks package os, which makes a real clone in the one way that
// nobody notices, and which Go programs go through anyway. It gives out
// handles only if the whole set works; as the rest of the set has been tried
// here before, ErrNoHandle means clone, or that it was out of descriptors when
// it asked, once and for all. That is not a sure answer; and so that it does not
// come about by us, it is asked only where there is room for its question.
func testClonePidfd() error {
	for _, rest := range []*feature.Probe{openProbe, sendSignalProbe, waitProbe} {
		if err := rest.Have(); errors.Is(err, ErrNotSupported) {
			return feature.Absent(err)
		} else if err != nil {
			return err
		}
	}
	if err := sys.Room(); err != nil {
		return err
	}
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		return err
	}
	defer self.Release()
	return self.WithHandle(func(uintptr) {})
}

// testGetFD: taking a descriptor of our own from ourselves is always allowed
// (the rule of ptrace exempts one's own threads).
func testGetFD() error {
	return withSelf(0, func(fd int) error {
		got, err := unix.PidfdGetfd(fd, fd, 0)
		if err == nil {
			unix.Close(got)
		}
		return judge("pidfd_getfd", err)
	})
}

// testCloseRange marks a number that cannot be open. EINVAL is a close_range
// without CLOSE_RANGE_CLOEXEC (5.9, 5.10).
func testCloseRange() error {
	const none = 1<<31 - 1
	return judge("close_range", unix.CloseRange(none, none, unix.CLOSE_RANGE_CLOEXEC), unix.EINVAL)
}

// testInfo: every process may ask about itself. ENOTTY is before 6.9, EINVAL
// from 6.9 to 6.12, EACCES a sandbox.
func testInfo() error {
	return withSelf(0, func(fd int) error {
		i, err := getInfo(fd, unix.PIDFD_INFO_PID)
		if err == nil && i.mask&unix.PIDFD_INFO_PID == 0 {
			return feature.Absent(fmt.Errorf("ioctl PIDFD_GET_INFO answers without the pid: mask %#x", i.mask))
		}
		return judge("ioctl", err, unix.ENOTTY, unix.EINVAL, unix.EACCES, unix.EOPNOTSUPP)
	})
}

// testCoredump: a live process has the group too (what would become of its core
// dump). Kernels that do not know it leave it out of the answer's mask.
func testCoredump() error {
	return withSelf(0, func(fd int) error {
		i, err := getCoreInfo(fd)
		if err == nil && i.mask&unix.PIDFD_INFO_COREDUMP == 0 {
			return feature.Absent(fmt.Errorf("ioctl PIDFD_GET_INFO answers without it: mask %#x", i.mask))
		}
		return judge("ioctl", err, unix.ENOTTY, unix.EINVAL, unix.EACCES, unix.EOPNOTSUPP)
	})
}
