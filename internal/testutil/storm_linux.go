// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package testutil

import (
	"os"
	"os/signal"
	"runtime"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// stormSignal is what a storm consists of: nothing else here uses it.
const stormSignal = unix.SIGUSR2

// Storm calls blocked on a thread of its own and sends that thread signals all
// the time, until it returns. Their handler is Go's without SA_RESTART, as a C
// library may install it: every system call that waits ends with EINTR, whereas
// with Go's own flags only poll, epoll_wait and their like do (signal(7)).
//
// enough is called after each signal that has arrived, with their number; it
// makes what blocked waits for come true. A storm without effect fails the test.
func Storm(t testing.TB, blocked func(), enough func(arrived int)) {
	t.Helper()
	arrivals := make(chan os.Signal, 1)
	signal.Notify(arrivals, stormSignal)
	defer signal.Stop(arrivals)
	defer withoutRestart(t)()
	tid := make(chan int, 1)
	var ended atomic.Bool
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		tid <- unix.Gettid()
		blocked()
		ended.Store(true)
	}()
	thread, arrived := <-tid, 0
	for deadline := time.Now().Add(Scaled(30 * time.Second)); !ended.Load(); {
		if time.Now().After(deadline) {
			t.Fatalf("still blocked after %d signals", arrived)
		}
		unix.Tgkill(os.Getpid(), thread, stormSignal)
		select {
		case <-arrivals:
			arrived++
			enough(arrived)
		case <-time.After(time.Millisecond):
		}
	}
	if arrived == 0 {
		t.Fatal("no signal has arrived: the storm proves nothing")
	}
}

// withoutRestart takes SA_RESTART off the handler of the storm's signal.
func withoutRestart(t testing.TB) (undo func()) {
	t.Helper()
	const saRestart = 0x10000000
	var old struct {
		handler, flags, restorer uintptr
		mask                     uint64
	}
	set := func(action, before unsafe.Pointer) {
		_, _, errno := unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(stormSignal), uintptr(action), uintptr(before), 8, 0, 0)
		if errno != 0 {
			t.Fatal("rt_sigaction: ", errno)
		}
	}
	set(nil, unsafe.Pointer(&old))
	harsh := old
	harsh.flags &^= saRestart
	set(unsafe.Pointer(&harsh), nil)
	return func() { set(unsafe.Pointer(&old), nil) }
}
