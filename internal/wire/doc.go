// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

// Package wire turns what caller and waiter tell each other into bytes and
// back.
//
// Promise: pure functions without I/O. What Append writes, Parse reads back as
// the same value; Parse of any other bytes answers an error and nothing else:
// it never panics, never reads beyond the message and never allocates more
// than a small multiple of the message's own length.
//
// It is not a general serialiser, and not stable between versions: caller and
// waiter are the same program, so a message of another [Version] is refused.
// docs/protocol.md has the records byte by byte.
//
// Kernel needs: none. It compiles everywhere.
//
// Descriptors: none; messages only say how many travel with them.
//
// Concurrency: there is no state. Parsed strings share one copy of the
// message, never the caller's buffer.
package wire
