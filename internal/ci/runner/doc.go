// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

// Command runner executes the runs of a plan, one after the other, and reports
// each as records of package plan. It is /init of the kernel matrix's virtual
// machines, and an ordinary program on the host and in sandboxes:
//
//	runner PLAN             reports on standard output
//	runner under PROFILE PROGRAM [ARG...]
//
// Promise: after each run it waits for what the run left behind, reports it,
// kills it, and reaps it, so that no run meets the remains of another.
//
// It is not meant to be started by hand, except to look at something.
//
// Kernel needs: Linux; as /init everything from 5.10 on.
//
// Descriptors: a run gets /dev/null, and one pipe as standard output and error.
//
// Concurrency: one run at a time. It waits for any child (wait4(-1)), in one
// goroutine: it is the parent of every orphan.
package main
