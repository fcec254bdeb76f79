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
package cli
