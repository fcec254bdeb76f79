// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package waiter

import (
	"os"
	"os/signal"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// holdSignals makes the waiter outlive what is sent to its whole process group
// (Ctrl-C, Ctrl-Z, SIGTERM to the group, a terminal's hangup). Signals with a
// handler are at their default again in a worker, by execve; those that the
// caller ignores are ignored here too, so that its workers inherit that.
func holdSignals(ignore uint64) {
	// Nobody reads it: a full channel drops what comes.
	never := make(chan os.Signal, 1)
	for sig := syscall.Signal(1); sig <= 64; sig++ {
		switch {
		case sig == unix.SIGCHLD, sig == unix.SIGURG:
			// The one gets its default below; the other, harmless by default, is
			// what the runtime interrupts its own threads with.
		case ignore&(1<<(sig-1)) != 0, signal.Ignored(sig):
			signal.Ignore(sig)
		default:
			signal.Notify(never, sig)
		}
	}
	defaultSIGCHLD()
}

// defaultSIGCHLD puts SIGCHLD to its default, at which a zombie stays and
// nobody is interrupted: the runtime's handler would wake a thread for each
// worker's end, for nothing.
func defaultSIGCHLD() {
	var action struct {
		handler, flags, restorer uintptr
		mask                     uint64
	}
	unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(unix.SIGCHLD), uintptr(unsafe.Pointer(&action)), 0, 8, 0, 0)
}
