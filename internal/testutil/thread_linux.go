// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package testutil

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// OnOwnThread runs f on a thread of its own, which ends with it. It is never the
// process's first one, which cannot end and is what /proc/PID shows.
func OnOwnThread(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		if unix.Gettid() != unix.Getpid() {
			f()
			return
		}
		OnOwnThread(f)
		runtime.UnlockOSThread()
	}()
	<-done
}
