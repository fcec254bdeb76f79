// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package waiter

import (
	"os"
	"os/exec"
	"testing"

	"github.com/seed-cb702d51/tfork-go/internal/testutil"
)

// null is /dev/null for the benchmarks: what os/exec opens for itself.
func null(tb testing.TB) uintptr {
	f, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { f.Close() })
	raw, err := f.SyscallConn()
	if err != nil {
		tb.Fatal(err)
	}
	var fd uintptr
	raw.Control(func(n uintptr) { fd = n })
	return fd
}

// BenchmarkRun compares one start and its end, by each road.
func BenchmarkRun(b *testing.B) {
	for _, prog := range []struct{ name, path string }{
		{"tiny", testutil.Tiny(b, 0)}, {"true", "/bin/true"},
	} {
		dev := null(b)
		req := &Request{Path: prog.path, Args: []string{prog.path}, Env: os.Environ(), Files: []uintptr{dev, dev, dev}}
		b.Run(prog.name+"/os-exec", func(b *testing.B) {
			defer measureCPU(b)()
			for b.Loop() {
				if err := exec.Command(prog.path).Run(); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(prog.name+"/shared", func(b *testing.B) {
			defer measureCPU(b)()
			for b.Loop() {
				benchOne(b, req)
			}
		})
		b.Run(prog.name+"/dedicated", func(b *testing.B) {
			ded := *req
			ded.Dedicated = true
			for b.Loop() {
				benchOne(b, &ded)
			}
		})
		b.Run(prog.name+"/parallel/os-exec", func(b *testing.B) {
			defer measureCPU(b)()
			b.SetParallelism(8)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if err := exec.Command(prog.path).Run(); err != nil {
						b.Error(err)
					}
				}
			})
		})
		b.Run(prog.name+"/parallel/shared", func(b *testing.B) {
			defer measureCPU(b)()
			b.SetParallelism(8)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					benchOne(b, req)
				}
			})
		})
	}
}

func benchOne(b *testing.B, r *Request) {
	w, err := pool.Spawn(r)
	if err != nil {
		b.Error(err)
		return
	}
	if fd, ok := w.TakePidFD(); ok {
		closePidFD(fd)
	}
	if status, _, err := w.Result(); err != nil || !status.Exited() {
		b.Error(status, err)
	}
}
