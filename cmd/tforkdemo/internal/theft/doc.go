// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

// Package theft shows how exit statuses get lost, and that tfork's do not: the
// same children are started in several ways, in surroundings that take their
// statuses away, and what is told about each is compared with the truth.
//
// Promise: the truth is known beforehand, because each child's ending is
// written in its command. What [Surroundings] change in this process is put
// back by their leave function.
//
// It is not a benchmark: the times include that of a shell.
//
// Kernel needs: Linux; [All] is errors.ErrUnsupported elsewhere.
//
// Descriptors: none kept.
//
// Concurrency: surroundings change the whole process, so one experiment at a
// time.
package theft
