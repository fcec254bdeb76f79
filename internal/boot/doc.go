// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

// Package boot is the record that tells a new worker process which function to
// run, and a launcher which program to become and which signals to ignore then.
//
// Promise: [Parse] returns what [Append] was given, [ParseProgram] what
// [AppendProgram] was, or an error; they never panic, read no further than their
// input and allocate no more than that.
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
