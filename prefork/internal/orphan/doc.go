// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

// Package orphan reaps orphans politely, for a process that is PID 1 of a
// container or a child subreaper.
//
// Promise: a zombie is reaped only if nobody in this process started it. Who
// calls wait4(-1) as PID 1 takes the statuses of everybody's children; this
// package takes none of them. A child is a stranger, and is reaped, if all of
// this holds:
//
//  1. It is listed as a child of this process's first thread. The kernel keeps
//     children by thread and hands orphans to the first one; a child of any
//     other thread was started by that thread.
//  2. No descriptor of this process is a pidfd of it. os, os/exec and tfork
//     hold one for every process they started, until they have its status.
//  3. The caller's keep function does not claim it.
//  4. It has been a zombie for [Grace]: whoever starts a process on the first
//     thread without a pidfd, and waits for it at once, is faster.
//
// What remains unprotected is code that starts a process from the first thread
// without a pidfd (a C library, syscall.ForkExec) and waits for it much later
// than it ends; keep is for that.
//
// It is not an init: it starts nothing and forwards no signal.
//
// Kernel needs: waitid with WNOWAIT; /proc with CONFIG_PROC_CHILDREN (without
// it rule 1 cannot be told, and nothing is reaped); waiting by pidfd (5.4) so that
// the process that is reaped is the one that was looked at. Without that, and
// elsewhere, [Run] returns an error that is errors.ErrUnsupported.
//
// Descriptors: none kept.
//
// Concurrency: one [Run] in a process.
package orphan
