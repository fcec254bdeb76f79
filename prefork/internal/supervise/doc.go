// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

// Package supervise is the state machine that both the supervisor (over its
// masters) and a master (over its workers) run.
//
// Promise: [Machine.Handle] is a pure transition: an event and the time go in,
// a list of actions comes out, nothing is done. What holds after every event:
// a slot has at most one current process and at most one replacement in the
// making; a replacement takes over only after it reported ready, and the old
// one is told to stop only then; nothing is started after Stop; [Finished]
// comes exactly once, after the last process has gone.
//
// It is not a scheduler: it starts no goroutine and no timer. It says when it
// wants to be asked again ([Machine.Deadline]).
//
// Kernel needs: none.
//
// Descriptors: none.
//
// Concurrency: one goroutine owns a machine.
package supervise
