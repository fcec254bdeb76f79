// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

// Package sandbox makes a new kernel look like an old or a restricted one to
// one program, with a seccomp filter.
//
// Promise: only the system calls that a [Profile] names answer differently, in
// the program and in all that it starts; everything else stays real.
//
// It is not a protection: a filter that answers with an errno keeps nobody
// from anything. It cannot make a call succeed without its effect, as
// gVisor does with CLONE_PIDFD; that needs gVisor.
//
// Kernel needs: seccomp filters (Linux 3.5), on amd64 or arm64.
//
// Descriptors: it opens none.
//
// Concurrency: [Exec] replaces the process.
package sandbox
