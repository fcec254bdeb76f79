// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

// Package sys holds the few system calls that more than one package of the
// module needs and that neither the standard library nor golang.org/x/sys
// offers in a usable form.
//
// Promise: every call here is one system call with its EINTR loop and typed
// results, and nothing is remembered between calls; but for [OpenPoller], which
// is about the Go runtime, [Memfd], which asks an older kernel twice, [SealedMemfd],
// which fills the file, and [Ignored] and [Ignore], which go through the signals one
// by one. [Short] and [CheckAttributes] only judge.
//
// It is not a general wrapper: what golang.org/x/sys/unix has is used from
// there.
//
// Kernel needs: Linux 4.x; callers probe for anything newer.
//
// Descriptors: all arguments are lent. [Cleanup] helps those who open several.
//
// Concurrency: every function may be called by many goroutines at once.
package sys
