// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

// Package debian fetches single packages of any Debian suite, without
// installing them and without touching the machine's own package state.
//
// Promise: where packages come from is read from the machine's apt sources, so
// a mirror or proxy that is configured there is used here too; only the name
// of the suite changes. Lists and archives live in the caller's cache folder.
// Nothing is pinned: the newest version that matches is taken.
//
// It is not an installer ([Install] calls the machine's apt-get for the few
// tools that are), and it knows no other distribution.
//
// Kernel needs: none.
//
// Descriptors: none kept.
//
// Concurrency: a [Cache] serves one goroutine; two programs may share its
// folder, because finished files are renamed into place.
package debian
