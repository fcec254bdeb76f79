// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package pidfd

import (
	"os"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/seed-cb702d51/tfork-go/internal/feature"
)

// cloneArgs is struct clone_args of Linux 5.7, 88 bytes.
type cloneArgs struct {
	flags, pidFD, childTID, parentTID, exitSignal, stack, stackSize, tls uint64
	setTID, setTIDSize                                                   uint64 // 5.5
	cgroup                                                               uint64 // 5.7
}

// badAddress is in no process's address space: the kernel answers EFAULT.
const badAddress = 1

// clone3 is only ever called with arguments that cannot make a process.
func clone3(args *cloneArgs) error {
	_, _, errno := unix.RawSyscall(unix.SYS_CLONE3, uintptr(unsafe.Pointer(args)), unsafe.Sizeof(*args), 0)
	if errno == 0 {
		return nil
	}
	return os.NewSyscallError("clone3", errno)
}

// testClone3: a structure of no size is EINVAL wherever the call exists. ENOSYS
// is an old kernel or a container's seccomp profile.
func testClone3() error {
	_, _, errno := unix.RawSyscall(unix.SYS_CLONE3, 0, 0, 0)
	if errno == unix.EINVAL {
		return nil
	}
	return judge("clone3", errno)
}

// testIntoCgroup asks for a process with a chosen pid (set_tid) whose number is
// at a bad address, twice. The kernel looks at the cgroup just before it reads
// that number, so
//
//   - a good descriptor number gives EFAULT, on a kernel whose structure has
//     the field at all (E2BIG before 5.7), and
//   - an impossible one gives EINVAL, if the flag makes the kernel look at it.
//
// No process can come of it: EFAULT ends the call on every kernel, and
// CLONE_THREAD without CLONE_SIGHAND is invalid besides, for systems that do
// not know set_tid (gVisor). No cgroup file system is needed.
func testIntoCgroup() error {
	args := cloneArgs{flags: unix.CLONE_INTO_CGROUP | unix.CLONE_THREAD, setTID: badAddress, setTIDSize: 1, cgroup: 1}
	if err := expect("clone3", clone3(&args), unix.EFAULT); err != nil {
		if isErrno(err, unix.E2BIG) {
			return feature.Absent(err)
		}
		return err
	}
	args.cgroup = 1 << 40
	if err := clone3(&args); !isErrno(err, unix.EINVAL) {
		return feature.Absent(os.NewSyscallError("clone3 with an impossible cgroup", unix.EFAULT))
	}
	return nil
}

// testAutoreap asks for an auto-reaped process whose pidfd goes to a bad
// address: EFAULT if the flags are valid, EINVAL (unknown flag) before 7.1.
// Without exit information the flag has no use and is not tried: what gets
// past that is a Linux of 6.15 or later, which makes no process after EFAULT.
// CLONE_VM spares it the copy of our address space.
func testAutoreap() error {
	if err := exitInfoProbe.Have(); err != nil {
		if isAbsent(err) {
			return feature.Absent(err)
		}
		return err
	}
	const autoreap = unix.CLONE_AUTOREAP | unix.CLONE_PIDFD | unix.CLONE_VM | unix.CLONE_VFORK
	return expect("clone3", clone3(&cloneArgs{flags: autoreap, pidFD: badAddress}), unix.EFAULT)
}
