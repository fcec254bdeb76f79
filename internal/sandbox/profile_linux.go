// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package sandbox

import "golang.org/x/sys/unix"

// The request numbers of pidfd ioctls: group 0xff, number 11 is
// PIDFD_GET_INFO (linux/pidfd.h).
const (
	ioctlGroup     = 0xff00
	ioctlGroupMask = 0xff00
	ioctlInfo      = 0xff0b
	ioctlInfoMask  = 0xffff
)

// Profiles returns all profiles.
func Profiles() []Profile {
	return []Profile{
		{
			Name: "linux-4", Like: "Linux 4.x: nothing of pidfd, no clone3",
			Rules: append(newCalls(unix.ENOSYS),
				Rule{unix.SYS_WAITID, uint32(unix.EINVAL), &Match{0, ^uint32(0), unix.P_PIDFD}},
				Rule{unix.SYS_CLONE, uint32(unix.EINVAL), &Match{0, unix.CLONE_PIDFD, unix.CLONE_PIDFD}},
				Rule{unix.SYS_IOCTL, uint32(unix.ENOTTY), &Match{1, ioctlGroupMask, ioctlGroup}}),
		},
		{
			Name: "container", Like: "the default profile of container engines that do not know clone3",
			Rules: []Rule{{unix.SYS_CLONE3, uint32(unix.ENOSYS), nil}},
		},
		{
			Name: "no-exit-info", Like: "Linux 5.4 to 6.14: pidfd, but no exit information",
			Rules: []Rule{{unix.SYS_IOCTL, uint32(unix.ENOTTY), &Match{1, ioctlInfoMask, ioctlInfo}}},
		},
		// Programs that use the C library do not come up under this one: its
		// pthread_create falls back to clone on ENOSYS only.
		{
			Name: "eperm", Like: "an old container profile, which answers EPERM to what it does not know",
			Rules: newCalls(unix.EPERM),
		},
	}
}

// newCalls are the system calls that came with and after pidfd.
func newCalls(errno unix.Errno) []Rule {
	var rules []Rule
	for _, call := range []uint32{
		unix.SYS_PIDFD_SEND_SIGNAL, unix.SYS_PIDFD_OPEN, unix.SYS_CLONE3, unix.SYS_CLOSE_RANGE, unix.SYS_PIDFD_GETFD,
	} {
		rules = append(rules, Rule{call, uint32(errno), nil})
	}
	return rules
}
