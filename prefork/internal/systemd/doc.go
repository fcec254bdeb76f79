// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

// Package systemd is what a prefork server and the service manager say to each
// other: sockets in, states out.
//
// Promise: sockets that the manager passed (LISTEN_FDS, with their names) are
// given out once, and their environment is removed, so that no worker mistakes
// them for its own. States (READY, RELOADING with its time stamp, STOPPING,
// STATUS, WATCHDOG) go to NOTIFY_SOCKET, which is removed from the environment
// too, as WATCHDOG_USEC and WATCHDOG_PID are. Where there is no manager,
// everything here does nothing. A manager that does not read costs a second for
// each state, and then an error: it stops nobody.
//
// It is not a client of the manager: it controls no unit.
//
// Kernel needs: none.
//
// Descriptors: [Sockets] gives the passed ones away.
//
// Concurrency: [Sockets], [NewNotifier] and [Watchdog] belong at the start of the
// supervisor; a [Notifier] may be used by many goroutines at once.
package systemd
