// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

// Package services is what "tforkdemo prefork" serves: http and echo.
//
// Promise: every answer tells which process gave it, and a bad parameter is
// answered with what is wrong with it. What ends a worker, or makes it
// misbehave, is there only if it was allowed ([AllowCrashes]).
//
// It is not a framework: two services for watching package prefork at work.
//
// Kernel needs: those of package prefork.
//
// Descriptors: sockets are those of the tasks; nothing else is kept.
//
// Concurrency: services run in workers of their own, one of each in a process.
package services
