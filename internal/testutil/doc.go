// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

// Package testutil is what the tests of several packages share: the test
// binary as every process, SIGCHLD set-ups and thieves, leak counters, a tiny
// program, polling.
//
// Promise: what a helper changes in the process it puts back at the test's
// end. It is imported by tests only.
//
// It is not an assertion library: tests compare with plain Go and go-cmp.
//
// Kernel needs: Linux with /proc; on other systems only [Main], [Helper] and
// [Poll] exist.
//
// Descriptors: none kept.
//
// Concurrency: SIGCHLD set-ups and thieves change the whole process; tests
// that use them must not be parallel.
package testutil
