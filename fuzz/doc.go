// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

// Package fuzz holds the tests that need more than one package: the proof that
// tfork is a drop-in for os/exec, and that its promises hold when system calls
// fail and processes are killed at random.
//
// Promise: what these tests accept as a difference from os/exec is the list in
// docs/differences.md and nothing else.
//
// It is not a library: it has no code outside of tests. Codecs and parsers are
// fuzzed beside their packages.
//
// Kernel needs: those of package tfork; what a kernel cannot do is skipped by
// probing, with the reason.
//
// Descriptors: none kept.
//
// Concurrency: tests change the whole process (SIGCHLD, working directory,
// limits), so none is parallel. A plain "go test" runs short forms: -rapid.checks
// and -fuzz make the generated ones longer, TFORK_LONG=1 those that kill, and
// TFORK_SOAK=DURATION runs the soak (.ci/soak).
package fuzz
