// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package pidfd

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/seed-cb702d51/tfork-go/internal/feature"
	"github.com/seed-cb702d51/tfork-go/internal/sys"
)

func open(pid int) (*FD, error) {
	if pid <= 0 {
		return nil, fmt.Errorf("pidfd: open process %d: a pid is positive: %w", pid, unix.EINVAL)
	}
	fd, err := unix.PidfdOpen(pid, 0) // close-on-exec by itself
	switch err {
	case nil:
		return nonblocking(fd)
	case unix.ESRCH:
		return nil, fmt.Errorf("pidfd: open process %d: %w", pid, os.ErrProcessDone)
	case unix.ENOSYS, unix.EPERM: // needs no permission: EPERM is a seccomp filter's
		return nil, lacks(openProbe, os.NewSyscallError("pidfd_open", err))
	}
	return nil, fmt.Errorf("pidfd: open process %d: %w", pid, os.NewSyscallError("pidfd_open", err))
}

func adopt(fd int) (*FD, error) {
	if fd < 0 {
		// What clone leaves in PidFD where it makes no descriptor.
		if err := HaveSet(); err != nil {
			return nil, err
		}
		return nil, fmt.Errorf("pidfd: no descriptor: %d: %w", fd, unix.EBADF)
	}
	if err := checkKind(fd); err != nil {
		unix.Close(fd)
		return nil, err
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETFD, unix.FD_CLOEXEC); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("pidfd: descriptor %d: %w", fd, os.NewSyscallError("fcntl F_SETFD", err))
	}
	return nonblocking(fd)
}

// checkKind tells a process descriptor from any other: waitid says EBADF of
// those. WNOWAIT leaves the status where it is.
func checkKind(fd int) error {
	_, err := sys.WaitID(unix.P_PIDFD, fd, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT|unix.WALL)
	switch {
	case err == nil, errors.Is(err, unix.ECHILD):
		return nil
	case errors.Is(err, unix.EBADF):
		return fmt.Errorf("pidfd: descriptor %d is not that of a process: %w", fd, err)
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOSYS), errors.Is(err, unix.EPERM):
		return lacks(waitProbe, err)
	}
	return fmt.Errorf("pidfd: descriptor %d: %w", fd, err)
}

// nonblocking makes an FD of fd, or closes it. No other of the flags that
// F_SETFL changes means anything for a process descriptor, so they need not be
// read first. (PIDFD_NONBLOCK would save the call, from 5.10 on only.)
func nonblocking(fd int) (*FD, error) {
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETFL, unix.O_NONBLOCK); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("pidfd: descriptor %d: %w", fd, os.NewSyscallError("fcntl F_SETFL", err))
	}
	if err := sys.OpenPoller(); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("pidfd: descriptor %d: %w", fd, err)
	}
	return newFD(fd, realKernel), nil
}

func sendSignal(fd int, sig syscall.Signal) error {
	switch err := unix.PidfdSendSignal(fd, sig, nil, 0); err {
	case nil:
		return nil
	case unix.ESRCH:
		return os.ErrProcessDone
	case unix.ENOSYS:
		return lacks(sendSignalProbe, os.NewSyscallError("pidfd_send_signal", err))
	default:
		return os.NewSyscallError("pidfd_send_signal", err)
	}
}

func getFD(fd, target int) (int, error) {
	got, err := unix.PidfdGetfd(fd, target, 0)
	switch err {
	case nil:
		return got, nil
	case unix.ESRCH:
		return -1, os.ErrProcessDone
	case unix.ENOSYS:
		return -1, lacks(getFDProbe, os.NewSyscallError("pidfd_getfd", err))
	}
	return -1, os.NewSyscallError("pidfd_getfd", err)
}

// lacks is the answer of a call that found its own feature missing.
func lacks(p *feature.Probe, reason error) error {
	return &feature.Error{Name: p.Name(), Since: p.Since(), Reason: reason}
}
