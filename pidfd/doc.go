// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

// Package pidfd is a typed process descriptor: a handle that names one process
// and never another one, however pids are reused.
//
// Promise: [FD.Wait] tells the true exit status of the process, whoever else in
// this program or on this system reaps it: another goroutine's wait4(-1), a
// SIGCHLD handler, an ignored SIGCHLD. It parks the goroutine in Go's network
// poller and keeps no thread. From Linux 6.15 on it does so for a process that
// is not our child, too. A status that nobody can know any more is
// [ErrStatusUnknown], never a made-up number.
//
// It is not a way to start processes, and it never reaps one that it was not
// asked about.
//
// Kernel needs: Linux 5.4 for the basic set ([HaveSet]); 6.15 for the status of
// a process that somebody else reaped ([HaveExitInfo]). Every feature has a
// probe of its own, see [Features]. Where something is missing, the error is
// [ErrNotSupported] and names the first kernel that has it; on other systems
// than Linux that is every answer.
//
// Descriptors: [Open] makes one, [New] takes one, [FD.With] lends it,
// [FD.GetFD] gives another one away. All are close-on-exec. The descriptor's
// open file description is made non-blocking, which every duplicate of it
// shares. The first one of a process needs two more, which stay: they are the
// network poller of the Go runtime.
//
// Concurrency: any number of goroutines may use one [FD], in any mix of calls,
// [FD.Close] included.
package pidfd
