// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

// Command prove runs the module's test suites where a developer's machine is
// not: under other kernels and in sandboxes. The scripts in .ci call it;
// docs/testing.md tells how to read what it prints.
//
//	prove kernels    [FLAGS]   Debian's kernels, each in a virtual machine
//	prove sandboxes  [FLAGS]   this kernel: bare, and under seccomp profiles
//	prove gvisor     [FLAGS]   both versions of gVisor that Debian has
//
// Promise: exit code 0 means that every suite passed wherever it could run,
// and what could not be had is named; 1 means that something failed, or that
// the flags leave no place, or no test that passes.
//
// It is not part of the library, and nothing imports it.
//
// Kernel needs: Linux on amd64.
//
// Descriptors: none kept. What it downloads is in the user's cache folder
// (tfork-kernels), what it builds in a temporary one that it removes.
//
// Concurrency: at most three machines or sandboxes at a time.
package main
