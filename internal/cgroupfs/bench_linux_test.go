// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package cgroupfs

import (
	"testing"

	"golang.org/x/sys/unix"

	"github.com/seed-cb702d51/tfork-go/internal/testutil"
)

func BenchmarkCheckAndRead(b *testing.B) {
	fd, err := unix.Open(testutil.Cgroup(b), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		b.Fatal(err)
	}
	defer unix.Close(fd)
	b.Run("Check", func(b *testing.B) {
		for b.Loop() {
			if err := Check(fd); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("ReadOOM", func(b *testing.B) {
		for b.Loop() {
			if _, err := ReadOOM(fd); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("Read", func(b *testing.B) {
		for b.Loop() {
			if _, err := Read(fd); err != nil {
				b.Fatal(err)
			}
		}
	})
}
