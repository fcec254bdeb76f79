// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package pidfd

import (
	"context"
	"fmt"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/seed-cb702d51/tfork-go/internal/sys"
	"github.com/seed-cb702d51/tfork-go/internal/testutil"
)

// BenchmarkWait compares the ways to wait for a tiny program, in one run: a
// thread that blocks in waitid, and a goroutine parked in the network poller.
func BenchmarkWait(b *testing.B) {
	tiny := testutil.Tiny(b, 0)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	waitIn := func(ctx context.Context) func(int) error {
		return func(fd int) error {
			f, err := New(fd)
			if err != nil {
				return err
			}
			defer f.Close()
			_, err = f.Wait(ctx)
			return err
		}
	}
	ways := []struct {
		name string
		wait func(fd int) error
	}{
		{"waitid", func(fd int) error {
			defer unix.Close(fd)
			_, err := sys.WaitID(unix.P_PIDFD, fd, unix.WEXITED)
			return err
		}},
		{"poller", waitIn(context.Background())},
		{"poller with a context", waitIn(ctx)},
	}
	for _, way := range ways {
		b.Run(way.name, func(b *testing.B) { benchmarkWait(b, tiny, way.wait) })
	}
	for _, way := range ways {
		b.Run(way.name+" in parallel", func(b *testing.B) {
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if err := startAndWait(tiny, way.wait); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}

func benchmarkWait(b *testing.B, program string, wait func(fd int) error) {
	b.ReportAllocs()
	for b.Loop() {
		if err := startAndWait(program, wait); err != nil {
			b.Fatal(err)
		}
	}
}

func startAndWait(program string, wait func(fd int) error) error {
	fd := -1
	_, err := syscall.ForkExec(program, []string{program}, &syscall.ProcAttr{Sys: &syscall.SysProcAttr{PidFD: &fd}})
	if err != nil {
		return fmt.Errorf("fork: %w", err)
	}
	return wait(fd)
}

// BenchmarkTryWait is one look at a process that runs.
func BenchmarkTryWait(b *testing.B) {
	c := sh(b, "read x")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.TryWait(); err != ErrRunning {
			b.Fatal(err)
		}
	}
}

// BenchmarkNew is what making and closing a descriptor costs.
func BenchmarkNew(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		fd, err := unix.PidfdOpen(unix.Getpid(), 0)
		if err != nil {
			b.Fatal(err)
		}
		f, err := New(fd)
		if err != nil {
			b.Fatal(err)
		}
		f.Close()
	}
}
