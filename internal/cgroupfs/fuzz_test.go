// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package cgroupfs

import (
	"bytes"
	"fmt"
	"path"
	"strings"
	"testing"

	"github.com/seed-cb702d51/tfork-go/internal/feature"
)

// FuzzParseMountinfo: a mount that can be used, xor "not supported".
func FuzzParseMountinfo(f *testing.F) {
	f.Add([]byte(unifiedInfo))
	f.Add([]byte(hybridInfo))
	f.Add([]byte("9 8 0:26 / /my\\040cg ro - cgroup2 x rw\n"))
	f.Add([]byte("9 8 0:26 / / - - cgroup2 \\\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := ParseMountinfo(text)
		if (err == nil) != strings.HasPrefix(m.Point, "/") {
			t.Fatalf("%+v, %v", m, err)
		}
		if _, unsupported := err.(*feature.Error); err != nil && !unsupported {
			t.Fatalf("%v is no feature error", err)
		}
		// A cgroup's directory never lies outside of the mount.
		if dir, ok := m.Dir(m.Root); err == nil && ok && !strings.HasPrefix(dir, path.Clean(m.Point)) {
			t.Fatalf("root of %+v is %q", m, dir)
		}
	})
}

// FuzzCounters: what was printed is found again, whatever stands before it.
func FuzzCounters(f *testing.F) {
	f.Add([]byte(memoryEvents), []byte("123\n"), []byte(cpuStat), uint64(7))
	f.Add([]byte("populated 0\nfrozen 1\n"), []byte("max"), []byte(""), uint64(1<<63))
	f.Add([]byte("oom_kill 99999999999999999999999\n"), []byte("-1"), []byte("usage_usec 18446744073709551615"), uint64(0))
	f.Fuzz(func(t *testing.T, events, peak, cpu []byte, n uint64) {
		c := parseCounters(events, peak, cpu)
		if c.CPUTime < 0 || c.UserTime < 0 || c.SystemTime < 0 {
			t.Fatalf("negative time in %+v", c)
		}
		if !c.HasOOM && c.OOMKills != 0 || !c.HasPeak && c.PeakMemory != 0 || !c.HasCPU && c.CPUTime != 0 {
			t.Fatalf("a number where there is none: %+v", c)
		}
		if bytes.Contains(events, []byte("frozen ")) {
			return
		}
		text := fmt.Appendf(nil, "%s\nfrozen %d\n", events, n)
		if got, ok := Field(text, "frozen"); !ok || got != n {
			t.Fatalf("Field(%q) = %d, %v, want %d", text, got, ok, n)
		}
	})
}

// FuzzParseSelf: never more than one line, never a carried-over prefix.
func FuzzParseSelf(f *testing.F) {
	f.Add([]byte("4:memory:/x\n0::/y\n"))
	f.Add([]byte("0::/y (deleted)"))
	f.Fuzz(func(t *testing.T, text []byte) {
		cgroup, ok := ParseSelf(text)
		if strings.Contains(cgroup, "\n") || !ok && cgroup != "" || ok && !bytes.Contains(text, []byte("0::"+cgroup)) {
			t.Fatalf("ParseSelf(%q) = %q, %v", text, cgroup, ok)
		}
	})
}
