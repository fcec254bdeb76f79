// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package waiter

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// cpu measures the processor time of everybody who has a part in a start:
// unlike elapsed time it says something on a busy machine.
type cpu struct{ self, waiter float64 }

// measureCPU reports the processor time of each run, in microseconds.
func measureCPU(b *testing.B) (report func()) {
	before := takeCPU()
	return func() {
		now := takeCPU()
		b.ReportMetric((now.self-before.self)/float64(b.N), "caller-us/op")
		b.ReportMetric((now.waiter-before.waiter)/float64(b.N), "waiter-us/op")
	}
}

func takeCPU() (c cpu) {
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var u syscall.Rusage
		syscall.Getrusage(who, &u)
		c.self += float64(u.Utime.Nano()+u.Stime.Nano()) / 1e3
	}
	pool.mu.Lock()
	defer pool.mu.Unlock()
	if pool.shared != nil {
		text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pool.shared.pid()))
		f := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
		for _, ticks := range f[11:15] {
			v, _ := strconv.ParseFloat(ticks, 64)
			c.waiter += v * 1e4
		}
	}
	return c
}
