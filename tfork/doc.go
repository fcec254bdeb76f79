// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

// Package tfork starts child processes whose exit status cannot be lost. It is
// a drop-in for os/exec: change the import and nothing else.
//
// # Promise
//
// For every worker that is guarded (see [Process.Guarded]):
//
//  1. Its status is delivered, once collected and true, whatever other code in
//     the process does with SIGCHLD or wait: a reaper in wait4(-1), an ignored
//     SIGCHLD, a C library.
//  2. Importing and using the package changes no signal disposition, no signal
//     mask, no subreaper flag and no descriptor of the application, and never
//     reaps a process that it did not start.
//  3. The event fd becomes readable after the status has been collected, never
//     before; and also if the status can never come.
//  4. Waiting costs no thread: ten thousand workers cost ten thousand parked
//     goroutines.
//  5. A status that is lost against all odds is [ErrLost], never a number.
//
// Process words, here and everywhere: the caller starts a worker, in some
// strategies through a waiter.
//
// # What it is not
//
// Not a shell, not a supervisor (package prefork is one), not a sandbox. It
// does not follow a worker's own descendants: a cgroup does ([Cmd.Cgroup]).
//
// # Kernel needs
//
// Linux. Everything is probed, nothing is decided by version: see [Probe] and
// docs/kernels.md. Direct is guarded from Linux 6.15 on; the waiter gives the
// same promise on anything older, if [Dispatch] is the first statement of main.
// On other systems Start fails with an error that is [errors.ErrUnsupported].
//
// # Who owns which descriptor
//
//	what                               verb         owner afterwards
//	Cmd.Stdin, Stdout, Stderr files    lent         caller
//	Cmd.ExtraFiles, Cmd.Cgroup         lent         caller
//	Cmd.StdinPipe and its sisters      given        caller, closed by Wait too
//	Process.EventFD                    given, once  caller
//	Process.WithHandle                 lent         Process, for the call
//	SysProcAttr.PidFD                  given        caller
//	Worker.Files                       given        the worker function
//
// # Concurrency
//
// A [Cmd] belongs to one goroutine at a time, a [Process] to all. Any number of
// Cmds may be started at once. All other functions may be called at any time,
// except that [Register] comes before [Dispatch].
package tfork
