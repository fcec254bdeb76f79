// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package pidfd

import (
	"fmt"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// rawInfo is struct pidfd_info as of Linux 6.13, 64 bytes. Everything up to
// here is the same in all kernels; what follows moved about before 7.0. The
// structure of golang.org/x/sys is a later one.
type rawInfo struct {
	mask                     uint64
	cgroupID                 uint64
	pid, tgid, ppid          uint32
	ruid, rgid, euid, egid   uint32
	suid, sgid, fsuid, fsgid uint32
	exitCode                 int32
}

// rawCoreInfo is the one of 6.16, 72 bytes.
type rawCoreInfo struct {
	rawInfo
	coreMask uint32
	_        uint32
}

// The number of an ioctl holds the size of its argument: _IOWR(0xFF, 11, size).
const (
	getInfo64 = 0xc040ff0b
	getInfo72 = 0xc048ff0b
)

// getInfo asks for the groups in mask. What came is in the mask of the answer:
// that the call succeeds means nothing.
func getInfo(fd int, mask uint64) (rawInfo, error) {
	i := rawInfo{mask: mask}
	return i, infoIoctl(fd, getInfo64, unsafe.Pointer(&i))
}

func getCoreInfo(fd int) (rawCoreInfo, error) {
	i := rawCoreInfo{rawInfo: rawInfo{mask: unix.PIDFD_INFO_EXIT | unix.PIDFD_INFO_COREDUMP}}
	return i, infoIoctl(fd, getInfo72, unsafe.Pointer(&i))
}

func infoIoctl(fd int, number uintptr, arg unsafe.Pointer) error {
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), number, uintptr(arg))
	if errno != 0 {
		return os.NewSyscallError("ioctl PIDFD_GET_INFO", errno)
	}
	return nil
}

// ioctlMissing tells whether PIDFD_GET_INFO itself is what is missing: ENOTTY
// before 6.9 (no ioctl at all), EINVAL from 6.9 to 6.12 (only those for
// namespaces), the others from a sandbox. The call needs no permission.
func ioctlMissing(err error) bool {
	return isErrno(err, unix.ENOTTY, unix.EINVAL, unix.ENOSYS, unix.EPERM, unix.EACCES, unix.EOPNOTSUPP)
}

func liveInfo(fd int) (Info, error) {
	const want = unix.PIDFD_INFO_PID | unix.PIDFD_INFO_CREDS
	i, err := getInfo(fd, want|unix.PIDFD_INFO_CGROUPID)
	switch {
	case err != nil && ioctlMissing(err):
		return Info{}, lacks(infoProbe, err)
	case isErrno(err, unix.ESRCH):
		return Info{}, os.ErrProcessDone
	case err != nil:
		return Info{}, err
	case i.mask&want != want:
		return Info{}, fmt.Errorf("pidfd: the kernel tells only %#x of the asked %#x", i.mask, want)
	}
	return i.public(), nil
}

// public converts an answer whose mask has been checked, but for the cgroup.
func (i *rawInfo) public() Info {
	out := Info{
		PID: int(i.pid), TGID: int(i.tgid), PPID: int(i.ppid),
		RUID: int(i.ruid), EUID: int(i.euid), SUID: int(i.suid), FSUID: int(i.fsuid),
		RGID: int(i.rgid), EGID: int(i.egid), SGID: int(i.sgid), FSGID: int(i.fsgid),
	}
	if i.mask&unix.PIDFD_INFO_CGROUPID != 0 {
		out.CgroupID = i.cgroupID
	}
	return out
}

// exitRecord is record for callers that want all of it. The core dump's bits
// are asked for separately: the 64-byte structure is the one to trust.
func (k *kernel) exitRecord(fd int) (Record, error) {
	events, err := k.poll(fd)
	if err != nil {
		return Record{}, err
	}
	if events&(unix.POLLIN|unix.POLLHUP) == 0 {
		return Record{}, ErrRunning
	}
	i, err := k.record(fd, events&unix.POLLHUP != 0)
	if err != nil {
		return Record{}, err
	}
	r := Record{Status: syscall.WaitStatus(i.exitCode)}
	if i.mask&unix.PIDFD_INFO_CGROUPID != 0 {
		r.CgroupID = i.cgroupID
	}
	if c, err := getCoreInfo(fd); err == nil && c.mask&unix.PIDFD_INFO_COREDUMP != 0 {
		r.Core = CoreDump(c.coreMask)
	}
	return r, nil
}
