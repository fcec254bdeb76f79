// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

// Package report tells a person, or a program, how the children of a batch
// ended.
//
// Promise: the numbers add up: every result counts once, under one outcome, and
// the percentiles are run times that were measured, not interpolated ones.
//
// It is not a logger.
//
// Kernel needs: none.
//
// Descriptors: it opens none; writers are lent.
//
// Concurrency: every type belongs to one goroutine, except [Progress].
package report
