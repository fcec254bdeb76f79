// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

// Command probes asks every probe of the module and prints the answers, a JSON
// object of package plan per line; the last one is what Auto would pick.
//
// Promise: the answers are those that a program of a user would get here, in
// this process and with this environment.
//
// It is not the command that users type (tforkdemo probe): it is what the
// proof compares with the table in docs/kernels.md.
//
// Kernel needs: none.
//
// Descriptors: none kept.
//
// Concurrency: one goroutine.
package main
