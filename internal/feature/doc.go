// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

// Package feature asks the kernel what it can do, and says "not supported" in
// one way for the whole module.
//
// Promise: a probe tries the behaviour itself, never a version number, and has
// three answers: it works (nil), it conclusively does not (an [Error], which is
// [ErrNotSupported]), or it could not be told (any other error). Only the two
// sure answers are remembered.
//
// It is not a version check: the first kernel that is named in an [Error] is
// text for a person.
//
// Kernel needs: none of its own.
//
// Descriptors: it holds none; a probe closes what it opens.
//
// Concurrency: everything here may be used by many goroutines at once.
package feature
