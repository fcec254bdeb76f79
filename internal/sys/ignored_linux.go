// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package sys

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// lastSignal is the highest number of a signal.
const lastSignal = 64

// Ignored returns the set of signals that this process ignores, as /proc shows
// it (SigIgn): bit n-1 for signal n. It asks the kernel, because os/signal
// knows of what went through it only, and some systems show no such line.
func Ignored() (set uint64) {
	for sig := unix.Signal(1); sig <= lastSignal; sig++ {
		if old, ok := disposition(sig); ok && old.handler == sigIgn {
			set |= 1 << (sig - 1)
		}
	}
	return set
}

// Ignore makes the process ignore a set of signals behind the Go runtime's back,
// which would not let go of some of them: for one that is about to execute a
// program, which inherits that. What cannot be ignored is left alone.
func Ignore(set uint64) {
	ignore := sigaction{handler: sigIgn}
	for sig := unix.Signal(1); sig <= lastSignal; sig++ {
		if set&(1<<(sig-1)) != 0 {
			unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(sig), uintptr(unsafe.Pointer(&ignore)), 0, 8, 0, 0)
		}
	}
}
