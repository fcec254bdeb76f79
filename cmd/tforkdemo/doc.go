// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

// Command tforkdemo runs processes whose exit status cannot be lost: a tour of
// packages tfork and prefork. "tforkdemo theft" shows the problem and the cure,
// "tforkdemo prefork" services that stay up, "tforkdemo --help" the rest.
//
// Promise: what it starts has ended when it ends, its own exit codes are
// documented in the help of each command, and bad input is named.
//
// It is not a supervisor of other programs and not a shell.
//
// Kernel needs: those of packages tfork and prefork; "tforkdemo probe" tells them.
//
// Descriptors: a single command gets its standard streams as they are.
//
// Concurrency: commands of a batch run so many at a time as asked for.
package main
