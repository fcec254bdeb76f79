// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

// Package restart decides whether a supervised process that ended is started
// again, and when.
//
// Promise: [Decide] and [Next] are pure functions that give, row by row and to
// the second, what Samba's prefork model does; everything beyond it (jitter, a
// reset after a good run, a limit in a window, exit codes that mean "stay
// down") is off in the zero value of its type.
//
// It is not a timer: it says how long to wait, and the caller waits.
//
// Kernel needs: none. Signals are Linux numbers, on every system.
//
// Descriptors: none.
//
// Concurrency: the functions are pure; a [Chain] and a [Window] belong to one
// goroutine.
package restart
