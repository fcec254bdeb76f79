// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

// Package batch runs many commands, some at a time, and tells how each ended.
//
// Promise: every command of the source gives exactly one [Result], also when
// the batch is stopped: what was not started then says so. When [Batch.Run]
// returns, everything that it started has ended.
//
// It is not a scheduler: no order, no retries, no dependencies.
//
// Kernel needs: those of package tfork.
//
// Descriptors: it opens none; those of the commands are lent by who makes them.
//
// Concurrency: a [Batch] is run once. Its functions are called as they say.
package batch
