// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

// Package message is the one wire format of prefork: between a process and the
// one that supervises it, and on the sockets of the runtime directory.
//
// Promise: a message is a fixed header of 8 bytes and at most [MaxBody] bytes;
// whatever the other end sends, reading allocates no more than that, never
// panics, and gives a message or an error.
//
//	0  2 bytes  "PF"
//	2  1 byte   version, 1
//	3  1 byte   kind
//	4  4 bytes  length of the body, big-endian
//	8  ...      body: nothing, text or JSON, as the kind says
//
// It passes no descriptors: most are inherited. The log file of a Reopen comes
// along with its first byte, which is between prefork and its socket.
//
// Kernel needs: none.
//
// Descriptors: none; readers and writers are lent.
//
// Concurrency: pure functions. One goroutine at a time may use one end.
package message
