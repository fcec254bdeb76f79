// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package pidfd

import "syscall"

// Info is what the kernel tells of a process that has not been reaped.
type Info struct {
	// PID is the thread's or process's id, TGID the process's, PPID its
	// parent's, all in the caller's pid namespace (0: not visible there).
	PID, TGID, PPID int
	// RUID to FSUID are the real, effective, saved and file system user id.
	RUID, EUID, SUID, FSUID int
	// RGID to FSGID are the same for the group.
	RGID, EGID, SGID, FSGID int
	// CgroupID is the id of the cgroup v2 directory (its inode number);
	// 0 if the kernel did not tell.
	CgroupID uint64
}

// Info returns ids, credentials and cgroup of the process; a zombie still has
// them. A reaped process is [os.ErrProcessDone].
//
// What the kernel reports not to have filled in is an error for the ids and
// the credentials, and 0 for the cgroup. It does not block. Needs Linux 6.13
// (ioctl_pidfd(2), PIDFD_GET_INFO).
func (f *FD) Info() (i Info, err error) {
	err = f.With(func(fd int) error {
		i, err = liveInfo(fd)
		return err
	})
	return i, err
}

// Record is what the kernel keeps of a process that has been reaped.
type Record struct {
	// Status is the raw wait status.
	Status syscall.WaitStatus
	// CgroupID is the cgroup in which it ended, 0 if the kernel did not tell.
	CgroupID uint64
	// Core tells about its core dump, 0 if the kernel did not tell. Linux
	// 6.18 is silent about one that was written to a file.
	Core CoreDump
}

// CoreDump is what became of a core dump; several bits may be set. Status's
// CoreDump method says whether there was one.
type CoreDump uint32

const (
	// CoreDumped: the process did dump core.
	CoreDumped CoreDump = 1 << iota
	// CoreSkipped: it would have, but its limits or its settings forbade it.
	CoreSkipped
	// CoreUser: dumped, or to be dumped, as the process's own user.
	CoreUser
	// CoreRoot: dumped, or to be dumped, so that only root may read it.
	CoreRoot
)

// ExitInfo returns the kernel's record of a process that has been reaped, by
// whomever, and reaps nothing itself. Before that it is [ErrRunning], also for
// a zombie. If there is no record and never will be it is [ErrStatusUnknown].
//
// It always asks the kernel: what [FD.Wait] remembers plays no part, and after
// Close it is [os.ErrClosed]. It does not block. Needs Linux 6.15 (core dump:
// 6.16), and before 6.17 the descriptor, or another of the same process, must
// have been open all the time.
func (f *FD) ExitInfo() (r Record, err error) {
	err = f.With(func(fd int) error {
		r, err = f.sys.exitRecord(fd)
		return err
	})
	return r, err
}
