// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

// Package cli is the command line of tforkdemo: commands, flags, help, exit
// codes.
//
// Promise: [Run] is the whole program, with its streams as arguments, and ends
// with a documented exit code. What it starts has ended when it returns.
//
// It is not for import by other programs.
//
// Kernel needs: those of package tfork; every command says what is missing.
//
// Descriptors: the streams are lent. If they are files, children get those very
// files.
//
// Concurrency: one Run at a time: it catches signals of the whole process.
//
// Rooms: what a person may want to change, and where it is.
//
//	run          run.go (one command), run_many.go (several, a jobs file),
//	             limits.go (flags that need a cgroup), tree.go (-v)
//	signals      signals.go: which are passed on, and what Ctrl-C does
//	theft        theft.go: the tables; the experiment itself is package theft
//	wait         wait.go
//	probe        probe.go, probe_cgroup.go
//	prefork      prefork.go: flags over the configuration file; what the
//	             services do is package services
//	ps           ps.go: the table and the JSON rows
//	exit codes   exit.go: one list for all commands, shown by their help
//	directories  runtimedir.go: where prefork and ps meet without a flag
//
// A command returns an exit code or an error that carries one; only Run turns
// it into the process's own. Nothing here writes to os.Stdout itself, so that a
// test sees all that a person sees.
package cli
