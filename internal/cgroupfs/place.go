// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package cgroupfs

// Check tells whether a worker can be started in the cgroup, as far as that
// can be known beforehand: it is a cgroup v2 directory, exists, is writable for
// this process and not frozen. The answer is an [*Error].
//
// It exists because a start in a frozen cgroup blocks (the kernel parks the
// starter until a thaw), and because ENOENT or EACCES from a start may as well
// come from the program. What only the kernel knows is left to it: see
// [Explain]. dir is lent. It does not block.
func Check(dir int) error { return check(dir) }

// Explain adds the cause to the error of a start in the cgroup. err is
// returned unchanged where the cgroup is not to blame: the same errno is also
// execve's answer for a missing or forbidden program, so the cgroup is looked
// at again before it is named. dir is lent.
func Explain(dir int, err error) error { return explain(dir, err) }

// Frozen tells whether the cgroup, or one above it, is frozen or being frozen.
// dir is lent. Linux 5.2; false where cgroups cannot be frozen.
func Frozen(dir int) (bool, error) { return frozen(dir) }

// Move moves another process into the cgroup. All its threads move, and what it
// starts later is born there. Whatever it has started before stays where it was,
// and memory that it has charged stays charged there. An [*Error] tells the
// cause. ESRCH (*os.SyscallError): no such process. dir is lent.
//
// It takes a lock of the whole system (cgroup_threadgroup_rwsem) for writing,
// which being born inside does not.
func Move(dir, pid int) error { return move(dir, pid) }
