// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

// Package cgroup gives workers limits, ends whole trees of them, and tells the
// truth about the OOM killer.
//
// Promise: a worker that is started with [Group.Dir] is inside its limits from
// its first instruction (tfork.Cmd.Cgroup); [Group.Kill] leaves no descendant,
// however often it forks, and takes no exit status from anybody; [Sample] says
// "killed for memory" only if the kernel has counted it. A limit that cannot
// be had is an error that names it, never a worker without limits.
//
//	parent, err := cgroup.Delegated()
//	group, err := cgroup.Create(parent, "job-*", cgroup.Limits{MemoryMax: 64 * cgroup.MiB, PidsMax: 32})
//	defer group.Close()
//	cmd.Cgroup = group.Dir()
//
// It is not a container runtime: no devices, no namespaces, no talking to
// systemd, no cgroup v1. It changes nothing that it was not pointed at:
// controllers are turned on in the group that was opened and below, never
// above, and a process is moved only by [Group.EnterLeaf].
//
// Kernel needs: cgroup v2 (hybrid hosts included: the hierarchy is found by its
// mount). Linux 5.2 for freezing, 5.7 for being born inside, 5.14 for
// cgroup.kill (before, [Group.Kill] freezes and kills one by one), 5.19 for the
// peak. Limits need their controller in the v2 hierarchy, which hybrid hosts
// keep in v1. Without any v2 hierarchy every call is [ErrNotSupported].
//
// Descriptors: a [Group] owns one, of its directory, until [Group.Close];
// [Group.Dir] lends it. No inotify, no epoll, no thread is kept.
//
// Concurrency: all methods of a Group may be called by many goroutines at once.
package cgroup
