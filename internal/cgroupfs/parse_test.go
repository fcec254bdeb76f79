// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package cgroupfs

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-cb702d51/tfork-go/internal/feature"
	"github.com/seed-cb702d51/tfork-go/internal/testutil"
)

func TestMain(m *testing.M) { testutil.Main(m, nil) }

const (
	memoryEvents = "low 0\nhigh 0\nmax 25\noom 3\noom_kill 2\noom_group_kill 1\n"
	cpuStat      = "usage_usec 1500000\nuser_usec 1000000\nsystem_usec 500000\nnr_periods 4\n"
	unifiedInfo  = "25 30 0:23 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:4 - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot\n"
	hybridInfo   = "31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n" +
		"35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n" +
		"41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n"
)

func TestParseCounters(t *testing.T) {
	tests := []struct {
		name              string
		events, peak, cpu string
		want              Counters
	}{
		{"nothing", "", "", "", Counters{}},
		{"all", memoryEvents, "67108864\n", cpuStat, Counters{
			OOMKills: 2, HasOOM: true, PeakMemory: 64 << 20, HasPeak: true,
			CPUTime: 1500 * time.Millisecond, UserTime: time.Second, SystemTime: time.Second / 2, HasCPU: true,
		}},
		{"no memory controller", "", "", cpuStat, Counters{
			CPUTime: 1500 * time.Millisecond, UserTime: time.Second, SystemTime: time.Second / 2, HasCPU: true,
		}},
		{"garbage", "oom_kill x\n", "max\n", "usage_usec\n", Counters{}},
		{"a longer key is another key", "oom_kill_all 7\n", "", "", Counters{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := parseCounters([]byte(tt.events), []byte(tt.peak), []byte(tt.cpu))
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Errorf("-want +got\n%s", d)
			}
		})
	}
}

func TestOOMKilled_NeedsBoth(t *testing.T) {
	was, moved := Counters{HasOOM: true, OOMKills: 3}, Counters{HasOOM: true, OOMKills: 4}
	tests := []struct {
		name          string
		before, after Counters
		sigkill, want bool
	}{
		{"killed, and counted", was, moved, true, true},
		{"killed by somebody else", was, was, true, false},
		{"counted, but it exited", was, moved, false, false},
		{"no memory controller", Counters{}, Counters{}, true, false},
		{"not known before", Counters{}, moved, true, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.after.OOMKilled(tt.before, tt.sigkill); got != tt.want {
				t.Errorf("OOMKilled = %v, want %v", got, tt.want)
			}
		})
	}
}

func TestParseMountinfo(t *testing.T) {
	tests := []struct {
		name, text string
		want       Mount
	}{
		{"unified", unifiedInfo, Mount{Point: "/sys/fs/cgroup", Root: "/"}},
		{"hybrid", hybridInfo, Mount{Point: "/sys/fs/cgroup/unified", Root: "/"}},
		{"container without a cgroup namespace", "9 8 0:26 /docker/abc /sys/fs/cgroup ro,nosuid - cgroup2 cgroup rw\n", Mount{Point: "/sys/fs/cgroup", Root: "/docker/abc", ReadOnly: true}},
		{"read-only super block", "9 8 0:26 / /cg rw - cgroup2 cgroup ro\n", Mount{Point: "/cg", Root: "/", ReadOnly: true}},
		{"a writable one wins", "9 8 0:26 / /a ro - cgroup2 x rw\n9 8 0:26 /s /b rw - cgroup2 x rw\n", Mount{Point: "/b", Root: "/s"}},
		{"one that shows more wins", "9 8 0:26 /s /a rw - cgroup2 x rw\n9 8 0:26 / /b rw - cgroup2 x rw\n", Mount{Point: "/b", Root: "/"}},
		{"a space in the path", "9 8 0:26 / /my\\040cg rw - cgroup2 x rw\n", Mount{Point: "/my cg", Root: "/"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParseMountinfo([]byte(tt.text))
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Errorf("-want +got\n%s", d)
			}
		})
	}
}

func TestParseMountinfo_NoneSaysWhy(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"cgroup v1 alone", "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n", "only cgroup v1"},
		{"no cgroups", "22 1 0:20 / /proc rw - proc proc rw\n", "no cgroup hierarchy"},
		{"empty", "", "no cgroup hierarchy"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := ParseMountinfo([]byte(tt.text))
			if !errors.Is(err, feature.ErrNotSupported) || !errors.Is(err, errors.ErrUnsupported) {
				t.Fatalf("%v is not ErrNotSupported", err)
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%q does not say %q", err, tt.want)
			}
		})
	}
}

func TestMount_Dir(t *testing.T) {
	tests := []struct {
		name   string
		m      Mount
		cgroup string
		want   string
		ok     bool
	}{
		{"root", Mount{Point: "/sys/fs/cgroup", Root: "/"}, "/", "/sys/fs/cgroup", true},
		{"below", Mount{Point: "/sys/fs/cgroup", Root: "/"}, "/a/b", "/sys/fs/cgroup/a/b", true},
		{"part mounted", Mount{Point: "/cg", Root: "/docker/x"}, "/docker/x/y", "/cg/y", true},
		{"outside of the part", Mount{Point: "/cg", Root: "/docker/x"}, "/docker/xy", "", false},
		{"above the namespace", Mount{Point: "/cg", Root: "/"}, "/../x", "", false},
		{"relative", Mount{Point: "/cg", Root: "/"}, "x", "", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, ok := tt.m.Dir(tt.cgroup)
			if got != tt.want || ok != tt.ok {
				t.Errorf("Dir(%q) = %q, %v, want %q, %v", tt.cgroup, got, ok, tt.want, tt.ok)
			}
		})
	}
}

func TestParseSelf(t *testing.T) {
	tests := []struct {
		name, text, want string
		ok               bool
	}{
		{"v2 alone", "0::/user.slice\n", "/user.slice", true},
		{"hybrid", "9:name=systemd:/\n4:memory:/x\n0::/y\n", "/y", true},
		{"v1 alone", "4:memory:/x\n", "", false},
		{"empty", "", "", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, ok := ParseSelf([]byte(tt.text))
			if got != tt.want || ok != tt.ok {
				t.Errorf("ParseSelf = %q, %v, want %q, %v", got, ok, tt.want, tt.ok)
			}
		})
	}
}
