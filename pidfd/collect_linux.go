// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package pidfd

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-cb702d51/tfork-go/internal/sys"
)

// kernel is what collecting asks of the system. Tests replace it to get the
// answers of kernels that they do not run on.
type kernel struct {
	waitid       func(fd int) (sys.Waited, error)
	poll         func(fd int) (revents int16, err error)
	info         func(fd int, mask uint64) (rawInfo, error)
	haveExitInfo func() error
}

// realKernel is never written to.
var realKernel = &kernel{waitid: waitid, poll: poll, info: getInfo, haveExitInfo: HaveExitInfo}

// errPidNamespace is why exit information may be refused where it exists.
var errPidNamespace = errors.New("it is in a pid namespace that is neither ours nor below ours")

// errNoRecord is for a reaped process of which the kernel has no record.
var errNoRecord = errors.New("the kernel keeps no record of it")

// collect makes one attempt to learn the status. The order is the one that
// holds whenever a thief may strike, between any two of these calls too:
//
//  1. waitid. It answers for a child of ours that nobody has reaped: running,
//     or ended (and the status, with rusage, is ours alone).
//  2. ECHILD: not our child, or its status was taken. Only now is the poll
//     state asked: nothing up means that it runs.
//  3. Then the kernel's record. It is written when the process is reaped and
//     before POLLHUP is up, so a missing one is final only if POLLHUP was up
//     before it was asked for. Otherwise it is a zombie (or was, an instant
//     ago), and the next change wakes us again.
func (k *kernel) collect(fd int) (Exit, error) {
	w, err := k.waitid(fd)
	switch {
	case err == nil && w.Pid == 0:
		return Exit{}, ErrRunning
	case err == nil:
		return reaped(&w), nil
	case !errors.Is(err, unix.ECHILD):
		return Exit{}, err
	}
	events, err := k.poll(fd)
	if err != nil {
		return Exit{}, err
	}
	if events&(unix.POLLIN|unix.POLLHUP) == 0 {
		return Exit{}, ErrRunning
	}
	i, err := k.record(fd, events&unix.POLLHUP != 0)
	if err != nil {
		return Exit{}, err
	}
	return Exit{Status: syscall.WaitStatus(i.exitCode), Source: ExitInfo}, nil
}

// reaped copies the rusage, so that the rest does not live on the heap.
func reaped(w *sys.Waited) Exit {
	rusage := w.Rusage
	return Exit{Status: w.Status, Rusage: &rusage, Source: Reaped}
}

// record asks for the status of a process that has ended and is not ours to
// reap. gone says that it had been reaped before.
func (k *kernel) record(fd int, gone bool) (rawInfo, error) {
	i, err := k.info(fd, unix.PIDFD_INFO_EXIT)
	switch {
	case err == nil && i.mask&unix.PIDFD_INFO_EXIT != 0:
		return i, nil
	case !gone && (err == nil || errors.Is(err, unix.ESRCH)):
		// ESRCH: somebody is reaping it at this very moment, so that it has
		// lost its number and not yet its task; POLLHUP follows.
		return rawInfo{}, ErrRunning
	case err == nil:
		err = errNoRecord
	}
	return rawInfo{}, fmt.Errorf("%w: %w", ErrStatusUnknown, k.whyUnknown(err))
}

// whyUnknown finds the reason behind an answer without exit information.
//
// ENOTTY (before 6.9 and on foreign descriptors), EINVAL (6.9 to 6.12) and what
// a seccomp filter says prove that the call is missing. ESRCH has two meanings:
// Linux 6.13 and 6.14 have the call without the record, and say so of a reaped
// process; the kernels that have the record say so of a foreign pid namespace,
// which newer ones call EREMOTE.
func (k *kernel) whyUnknown(err error) error {
	if errors.Is(err, unix.EREMOTE) {
		return errPidNamespace
	}
	if ioctlMissing(err) {
		return lacks(exitInfoProbe, err)
	}
	if have := k.haveExitInfo(); have != nil {
		return have
	}
	if errors.Is(err, unix.ESRCH) {
		return errPidNamespace
	}
	return err
}

// waitid asks for the end of a child without waiting for it. __WALL includes
// children that were cloned with another exit signal than SIGCHLD.
func waitid(fd int) (sys.Waited, error) {
	w, err := sys.WaitID(unix.P_PIDFD, fd, unix.WEXITED|unix.WNOHANG|unix.WALL)
	if err != nil && errors.Is(err, unix.EINVAL) {
		return w, lacks(waitProbe, err) // the arguments are right: there is no P_PIDFD
	}
	return w, err
}

// poll returns what is up now. POLLHUP is reported without being asked for.
func poll(fd int) (int16, error) { return pollFor(fd, 0) }

// pollFor waits for POLLIN or POLLHUP, for d at most, with a thread.
func pollFor(fd int, d time.Duration) (int16, error) {
	fds := [1]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	for {
		_, err := unix.Poll(fds[:], int(d.Milliseconds()))
		if err == nil {
			return fds[0].Revents, nil
		}
		if err != unix.EINTR {
			return 0, os.NewSyscallError("poll", err)
		}
	}
}
