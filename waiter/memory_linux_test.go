// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package waiter

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/seed-cb702d51/tfork-go/internal/testutil"
)

// BenchmarkLive reports what live workers cost: the waiter's private memory
// and threads, and the caller's threads.
func BenchmarkLive(b *testing.B) {
	for _, n := range []int{0, 1, 100, 1000, 5000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			for range b.N {
				measureLive(b, n)
			}
		})
	}
}

func measureLive(b *testing.B, n int) {
	var p Pool
	defer p.CloseIdle()
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
		b.Fatal(err)
	}
	defer unix.Close(pipe[0])
	dev := null(b)
	first := &Request{Path: testutil.Tiny(b, 0), Args: []string{"tiny"}, Files: []uintptr{dev, dev, dev}}
	w, err := p.Spawn(first)
	if err != nil {
		b.Fatal(err)
	}
	w.Result()
	var workers []*Worker
	for range n {
		w, err := p.Spawn(&Request{Path: "/bin/cat", Args: []string{"cat"}, Files: []uintptr{uintptr(pipe[0]), dev, dev}})
		if err != nil {
			b.Fatal(err)
		}
		if fd, ok := w.TakePidFD(); ok {
			unix.Close(fd)
		}
		workers = append(workers, w)
	}
	pid := p.shared.pid()
	b.ReportMetric(float64(privateKiB(pid)), "waiter-private-KiB")
	b.ReportMetric(float64(testutil.Threads(pid)), "waiter-threads")
	b.ReportMetric(float64(testutil.Threads(os.Getpid())), "caller-threads")
	unix.Close(pipe[1])
	for _, w := range workers {
		if status, _, err := w.Result(); err != nil || status != 0 {
			b.Errorf("status %#x, %v", status, err)
		}
	}
}

// privateKiB is the memory that a process shares with nobody.
func privateKiB(pid int) (sum int) {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	for line := range bytes.Lines(text) {
		var n int
		if _, err := fmt.Sscanf(string(line), "Private_Clean: %d kB", &n); err == nil {
			sum += n
		}
		if _, err := fmt.Sscanf(string(line), "Private_Dirty: %d kB", &n); err == nil {
			sum += n
		}
	}
	return sum
}
