// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

// Package cgroupfs reads and writes the files of one cgroup v2 directory
// through its descriptor: may a worker be placed there, put it there, and what
// has the kernel counted there.
//
// Promise: a cgroup that cannot take a worker is told by cause ([ErrFrozen],
// [ErrInnerNode], ...) with what to do about it, never by a bare errno, and a
// worker's own failure to execute is never blamed on its cgroup. No number is
// made up: a counter that this kernel or cgroup does not have says so.
//
// It is not a manager: it makes no directory, sets no limit and remembers
// nothing. It needs no path, so that it works where the mount is not visible.
//
// Kernel needs: cgroup v2 (Linux 4.5); cgroup.freeze 5.2, memory.events.local
// 5.2, memory.peak 5.19. What is missing is left out.
//
// Descriptors: every dir argument is lent, and may have been opened with
// O_PATH; nothing is kept open.
//
// Concurrency: every function may be called by many goroutines at once.
package cgroupfs
