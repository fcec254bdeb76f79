// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package waiter

import (
	"syscall"
	"unsafe"

	"github.com/seed-cb702d51/tfork-go/internal/wire"
)

// longs is struct rusage as the C longs that it consists of on every Linux:
// two times of seconds and microseconds, and fourteen counters. A Go int has
// the size of a C long there.
func longs(u *syscall.Rusage) *[wire.RusageLen]int {
	return (*[wire.RusageLen]int)(unsafe.Pointer(u))
}

var _ [unsafe.Sizeof(syscall.Rusage{})]byte = [wire.RusageLen * unsafe.Sizeof(int(0))]byte{}

// exitedInfo is what the waiter tells about an end.
func exitedInfo(status syscall.WaitStatus, u *syscall.Rusage) *wire.ExitedInfo {
	e := &wire.ExitedInfo{Status: uint32(status)}
	for i, v := range longs(u) {
		e.Rusage[i] = int64(v)
	}
	return e
}

// rusageOf is what the caller makes of it.
func rusageOf(e *wire.ExitedInfo) *syscall.Rusage {
	u := &syscall.Rusage{}
	for i, p := 0, longs(u); i < len(p); i++ {
		p[i] = int(e.Rusage[i])
	}
	return u
}
