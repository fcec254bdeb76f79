// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package tfork

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-cb702d51/tfork-go/internal/testutil"
)

// Every benchmark here runs os/exec and tfork in turns, in one loop, and
// reports their medians and the ratio: on a machine that others use too, two
// separate runs could not be compared.

// cycle is one thing that is done with a started program.
type cycle struct {
	name string
	exec func(path string) error
	ours func(m mode, path string) error
}

var cycles = []cycle{
	{
		name: "Run",
		exec: func(path string) error { return exec.Command(path).Run() },
		ours: func(m mode, path string) error { return m.command(path).Run() },
	},
	{
		name: "Start+Wait",
		exec: func(path string) error {
			c := exec.Command(path)
			c.Stdin, c.Stdout, c.Stderr = os.Stdin, os.Stderr, os.Stderr
			if err := c.Start(); err != nil {
				return err
			}
			return c.Wait()
		},
		ours: func(m mode, path string) error {
			c := m.command(path)
			c.Stdin, c.Stdout, c.Stderr = os.Stdin, os.Stderr, os.Stderr
			if err := c.Start(); err != nil {
				return err
			}
			return c.Wait()
		},
	},
	{
		name: "Output",
		exec: func(path string) error { _, err := exec.Command(path).Output(); return err },
		ours: func(m mode, path string) error { _, err := m.command(path).Output(); return err },
	},
	{
		name: "Stdin",
		exec: func(path string) error {
			c := exec.Command(path)
			c.Stdin = io.LimitReader(zeros{}, 4096)
			return c.Run()
		},
		ours: func(m mode, path string) error {
			c := m.command(path)
			c.Stdin = io.LimitReader(zeros{}, 4096)
			return c.Run()
		},
	},
}

// zeros is an endless reader.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// BenchmarkAgainstExec: cycle x strategy x program x size of the caller.
func BenchmarkAgainstExec(b *testing.B) {
	programs := []struct{ name, path string }{{"tiny", testutil.Tiny(b, 0)}, {"true", "/bin/true"}}
	for _, mib := range []int{1, 1024} {
		for _, p := range programs {
			for _, c := range cycles {
				for _, m := range modes {
					if m.dedicated && c.name != "Run" {
						continue
					}
					b.Run(fmt.Sprintf("%s/%s/%s/caller=%dMiB", c.name, p.name, m.name, mib), func(b *testing.B) {
						memory := touch(mib)
						compare(b, func() error { return c.exec(p.path) }, func() error { return c.ours(m, p.path) })
						runtime.KeepAlive(memory)
					})
				}
			}
		}
	}
}

// BenchmarkParallel: 64 starters at once.
func BenchmarkParallel(b *testing.B) {
	tiny := testutil.Tiny(b, 0)
	for _, starters := range []int{2, 8, 64} {
		for _, m := range modes {
			if m.dedicated {
				continue
			}
			b.Run(fmt.Sprintf("%s/starters=%d", m.name, starters), func(b *testing.B) {
				compare(b,
					func() error { return atOnce(starters, func() error { return exec.Command(tiny).Run() }) },
					func() error { return atOnce(starters, func() error { return m.command(tiny).Run() }) })
			})
		}
	}
}

func atOnce(n int, run func() error) error {
	errs := make([]error, n)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { errs[i] = run() })
	}
	all.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// touch returns memory of the given size, each page written to.
func touch(mib int) []byte {
	b := make([]byte, mib<<20)
	for i := 0; i < len(b); i += 4096 {
		b[i] = 1
	}
	return b
}

// compare does both in turns and reports the medians and their ratio.
func compare(b *testing.B, theirs, ours func() error) {
	b.Helper()
	var t, o []time.Duration
	for range 3 { // first starts cost more
		measure(b, theirs)
		measure(b, ours)
	}
	b.ResetTimer()
	for b.Loop() {
		t = append(t, measure(b, theirs))
		o = append(o, measure(b, ours))
	}
	b.StopTimer()
	CloseIdle()
	median := func(d []time.Duration) float64 {
		slices.Sort(d)
		return float64(d[len(d)/2].Nanoseconds()) / 1e3
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(median(t), "exec-us")
	b.ReportMetric(median(o), "tfork-us")
	b.ReportMetric(median(o)/median(t), "ratio")
}

func measure(b *testing.B, f func() error) time.Duration {
	begin := time.Now()
	if err := f(); err != nil {
		b.Fatal(err)
	}
	return time.Since(begin)
}

// BenchmarkLiveChildren reports what a live worker costs its caller.
func BenchmarkLiveChildren(b *testing.B) {
	pause := testutil.TinyPause(b)
	for _, children := range []int{100, 1000, 10_000} {
		b.Run(fmt.Sprintf("direct/children=%d", children), func(b *testing.B) {
			needChildren(b, children)
			for b.Loop() {
				c := holdChildren(b, mode{strategy: Direct}, pause, children)
				b.ReportMetric(float64(c.threads), "threads")
				b.ReportMetric(float64(c.bytesPerChild), "bytes/child")
			}
		})
	}
}

// held is what many live workers cost.
type held struct{ threads, bytesPerChild int }

// holdChildren starts children, each with a goroutine that waits for it,
// measures, kills all and checks their statuses.
func holdChildren(t testing.TB, m mode, program string, children int) held {
	t.Helper()
	before := residentSet(t)
	procs := make([]*Process, 0, children)
	var waiting sync.WaitGroup
	defer waiting.Wait()
	defer func() {
		for _, p := range procs {
			p.Kill()
		}
	}()
	for range children {
		c := m.command(program)
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		p := c.Process
		procs = append(procs, p)
		waiting.Go(func() {
			if st, err := p.Status(true); err != nil || st.Signal() != unix.SIGKILL {
				t.Errorf("killed worker: %v, %v", st, err)
			}
		})
	}
	debug.FreeOSMemory() // what the starts have thrown away is no cost
	cost := (residentSet(t) - before) / children
	return held{threads: testutil.Threads(os.Getpid()), bytesPerChild: cost}
}

// residentSet is this process's memory, in bytes.
func residentSet(t testing.TB) int {
	t.Helper()
	var size, resident int
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Sscan(string(b), &size, &resident); err != nil {
		t.Fatal(err)
	}
	return resident * os.Getpagesize()
}

// needChildren skips where a limit forbids that many processes and files.
func needChildren(t testing.TB, children int) {
	t.Helper()
	for _, l := range []struct {
		what     string
		resource int
		need     uint64
	}{
		{"RLIMIT_NPROC", unix.RLIMIT_NPROC, uint64(children) + 1000},
		{"RLIMIT_NOFILE", unix.RLIMIT_NOFILE, uint64(children) + 200},
	} {
		var lim unix.Rlimit
		if err := unix.Getrlimit(l.resource, &lim); err != nil {
			t.Fatal(err)
		}
		if lim.Cur < l.need {
			t.Skipf("%s is %d, %d needed", l.what, lim.Cur, l.need)
		}
	}
}
