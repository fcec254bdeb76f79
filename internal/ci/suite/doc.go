// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

// Package suite builds the module's test binaries for use elsewhere, and turns
// what they print there into results and tables.
//
// Promise: a result is what the test binary itself said, read by the go
// command's own test2json; a suite that ended badly, hung, or left a process
// behind is never counted as passed.
//
// It is not what runs them: that is command runner, on either side of a
// virtual machine.
//
// Kernel needs: none.
//
// Descriptors: none kept.
//
// Concurrency: a [Collector] serves one runner at a time.
package suite
