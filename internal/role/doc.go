// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

// Package role tells a re-executed copy of the program which part it plays.
//
// Promise: the marker travels in the environment of that one process, is taken
// out before anything else of the program runs, and is never seen by the
// process's own children. A process that gained privileges by being executed
// (AT_SECURE: set-uid, set-gid, file capabilities) never plays a role.
//
// It is not a secret: whoever may start the program may name a role. What a
// role does must be safe for that person to ask for.
//
// Kernel needs: /proc for [Exe].
//
// Descriptors: the marker names the number of the one descriptor that the role
// inherits and owns.
//
// Concurrency: [Take] belongs at the start of main, before other goroutines
// read the environment.
package role
