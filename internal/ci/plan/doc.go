// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

// Package plan is what the proof's driver and its runner say to each other:
// which test binaries to run and how, and what came of it.
//
// Promise: both sides are plain JSON, a record per line, so that the runner may
// sit behind a pipe, a serial line of a virtual machine or a sandbox.
//
// It is not a test framework: the test binaries are ordinary ones, and their
// output is passed on as it is.
//
// Kernel needs: none.
//
// Descriptors: none kept.
//
// Concurrency: values without locks; a [Writer] may be shared.
package plan
