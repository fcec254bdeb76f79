// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

// Package names is the runtime directory of a prefork server: one unix socket
// for each process, under the process's name.
//
// Promise: a name is there exactly while somebody can answer at it, as far as
// anybody is left to clean up. A socket appears under its name only after it
// listens, so one that refuses connections is stale beyond doubt and may be
// removed by anybody, at any time ([Dir.Sweep]); [Open] does so first. Two
// supervisors cannot use one directory: the second gets [ErrInUse].
//
// The supervising process binds the socket and hands it down, so that a worker
// that runs as another user needs no right in the directory; it alone moves
// and removes the name. The process itself calls listen(2) again on it: then
// the kernel tells whoever connects that process's pid, even if it hangs and
// never answers. Of an answer the kernel tells who wrote it: who asks while a
// process is being started does not take its starter for it.
//
// It is not a discovery service: names are of one machine and one directory.
//
// Kernel needs: unix sockets with SO_PEERCRED; renameat2 with RENAME_EXCHANGE
// (Linux 3.15) is used where the file system has it. Without the former,
// and elsewhere, every call returns an error that is errors.ErrUnsupported.
//
// Descriptors: a [Dir] owns the directory's and, in the supervisor, the lock's;
// [Dir.Bind] gives the socket away.
//
// Concurrency: a Dir may be used by many goroutines and processes at once.
package names
