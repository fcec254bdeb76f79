// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

// Package boot is the record that tells a new worker process which function to
// run.
//
// Promise: [Parse] returns what [Append] was given, or an error; it never
// panics, reads no further than its input and allocates no more than that.
//
// It is not a transport: the record lies at the start of a memory file, the
// payload behind it.
//
// Kernel needs: none.
//
// Descriptors: none.
//
// Concurrency: pure functions.
package boot
