// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

// Package peer tells whether the kernel can be asked who is at the other end of
// a unix socket.
//
// Promise: the answer is tried, never read off a name or a version.
//
// It does not ask: who needs the answer calls getsockopt or recvmsg itself.
//
// Kernel needs: none of its own.
//
// Descriptors: it opens two, and closes them.
//
// Concurrency: everything here may be used by many goroutines at once.
package peer
