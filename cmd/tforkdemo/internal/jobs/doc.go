// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

// Package jobs reads command lines from text, one per line.
//
// Promise: a line that is accepted gives exactly the words that a POSIX shell
// would make of it if nothing were expanded; a line that is not accepted is an
// [Error] that names file, line and column, and the lines after it are read all
// the same.
//
// It is not a shell: no variables, no globs, no pipes, no redirection. Their
// characters are ordinary ones.
//
// Kernel needs: none.
//
// Descriptors: it opens nothing; the reader is lent.
//
// Concurrency: the functions may be called by many goroutines at once, a
// [Reader] belongs to one.
package jobs
