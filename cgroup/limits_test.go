// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package cgroup

import (
	"errors"
	"math"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-cb702d51/tfork-go/internal/testutil"
	"github.com/seed-cb702d51/tfork-go/tfork"
)

func TestMain(m *testing.M) {
	// Race-built processes sleep for a second at exit, also the roles.
	os.Setenv("GORACE", "atexit_sleep_ms=0")
	testutil.Main(m, tfork.Dispatch, tfork.CloseIdle)
}

func TestLimits_Check(t *testing.T) {
	tests := []struct {
		name   string
		limits Limits
		field  string // of the LimitError; "" if the limits are good
		text   string
	}{
		{name: "nothing"},
		{name: "everything", limits: Limits{
			MemoryMax: 64 * MiB, MemoryHigh: 48 * MiB, SwapMax: NoSwap, OOMGroup: true, PidsMax: 32,
			CPUs: 0.5, CPUWeight: 1, IOWeight: 10000, CPUSet: "0-3,7", MemorySet: "0",
		}},
		{name: "no limit", limits: Limits{MemoryMax: Unlimited, MemoryHigh: Unlimited, SwapMax: Unlimited, PidsMax: Unlimited, CPUs: math.Inf(1)}},
		{name: "most processes", limits: Limits{PidsMax: 4194304}},
		{"too little memory", Limits{MemoryMax: 100}, "MemoryMax", "cgroup: limit MemoryMax=100: less than one page, which is 4KiB"},
		{"negative memory", Limits{MemoryHigh: -5}, "MemoryHigh", "cgroup: limit MemoryHigh=-5: must not be negative"},
		{"no swap is for swap", Limits{MemoryMax: NoSwap}, "MemoryMax", "cgroup: limit MemoryMax=-1: must not be negative"},
		{"negative swap", Limits{SwapMax: -2}, "SwapMax", "cgroup: limit SwapMax=-2: must not be negative (NoSwap is -1)"},
		{"negative pids", Limits{PidsMax: -1}, "PidsMax", "cgroup: limit PidsMax=-1: must be 1 to 4194304"},
		{"too many pids", Limits{PidsMax: 4194305}, "PidsMax", "cgroup: limit PidsMax=4194305: must be 1 to 4194304"},
		{"too little of a processor", Limits{CPUs: 0.001}, "CPUs", "cgroup: limit CPUs=0.001: must be 0.01 to 1e+06 processors"},
		{"negative processors", Limits{CPUs: -1}, "CPUs", "cgroup: limit CPUs=-1: must be 0.01 to 1e+06 processors"},
		{"no number of processors", Limits{CPUs: math.NaN()}, "CPUs", "cgroup: limit CPUs=NaN: must be 0.01 to 1e+06 processors"},
		{"weight", Limits{CPUWeight: 10001}, "CPUWeight", "cgroup: limit CPUWeight=10001: must be 1 to 10000"},
		{"negative weight", Limits{IOWeight: -1}, "IOWeight", "cgroup: limit IOWeight=-1: must be 1 to 10000"},
		{"set", Limits{CPUSet: "0-3,x"}, "CPUSet", `cgroup: limit CPUSet="0-3,x": "x" is no number and no range like 0-3`},
		{"set backwards", Limits{MemorySet: "3-1"}, "MemorySet", `cgroup: limit MemorySet="3-1": "3-1" is no number and no range like 0-3`},
		{"empty part", Limits{CPUSet: "0,"}, "CPUSet", `cgroup: limit CPUSet="0,": "" is no number and no range like 0-3`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.limits.Check()
			var le *LimitError
			if tt.field == "" {
				if err != nil {
					t.Errorf("Check = %v", err)
				}
				return
			}
			if !errors.As(err, &le) || le.Field != tt.field {
				t.Fatalf("Check = %#v, want a LimitError of %s", err, tt.field)
			}
			if err.Error() != tt.text {
				t.Errorf("got  %s\nwant %s", err, tt.text)
			}
		})
	}
}

func TestLimits_Controllers(t *testing.T) {
	tests := []struct {
		limits Limits
		want   []string
	}{
		{Limits{}, nil},
		{Limits{SwapMax: NoSwap}, []string{"memory"}},
		{Limits{OOMGroup: true, PidsMax: 1}, []string{"memory", "pids"}},
		{Limits{CPUWeight: 5, IOWeight: 5}, []string{"cpu", "io"}},
		{Limits{MemorySet: "0"}, []string{"cpuset"}},
	}
	for _, tt := range tests {
		if d := cmp.Diff(tt.want, tt.limits.controllers()); d != "" {
			t.Errorf("%+v: -want +got\n%s", tt.limits, d)
		}
	}
}

func TestBytes_Text(t *testing.T) {
	tests := []struct {
		text string
		want Bytes
		back string // "" if it is text
	}{
		{"64MiB", 64 * MiB, ""},
		{"64M", 64 * MiB, "64MiB"},
		{"64 MiB", 64 * MiB, "64MiB"},
		{"1024", KiB, "1KiB"},
		{"4097", 4097, ""},
		{"4097B", 4097, "4097"},
		{"0", 0, ""},
		{"max", Unlimited, ""},
		{"none", NoSwap, ""},
		{"8388607TiB", 8388607 * TiB, ""},
	}
	for _, tt := range tests {
		got, err := ParseBytes(tt.text)
		if err != nil || got != tt.want {
			t.Errorf("ParseBytes(%q) = %d, %v, want %d", tt.text, got, err, tt.want)
		}
		back := tt.back
		if back == "" {
			back = tt.text
		}
		if got.String() != back {
			t.Errorf("%d = %q, want %q", got, got.String(), back)
		}
	}
	for _, bad := range []string{"", "-1", "1.5G", "64MB", "MiB", "8388608TiB", "9223372036854775808", "+1", "1_0", "0x10"} {
		if n, err := ParseBytes(bad); err == nil {
			t.Errorf("ParseBytes(%q) = %d, want an error", bad, n)
		}
	}
}

func TestCheckName(t *testing.T) {
	for _, good := range []string{"job", "job-*", "a b", "tfork.leaf", "memory", "..."} {
		if err := checkName(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	long := string(make([]byte, 241))
	for _, bad := range []string{"", ".", "..", "/", "a/b", "../x", "/abs", "a\nb", "a\x00", long, "*-*", "cgroup.procs", "memory.max", "pids.x"} {
		if err := checkName(bad); !errors.Is(err, ErrName) {
			t.Errorf("%q: %v, want ErrName", bad, err)
		}
	}
}

func TestSample_OOMKilled(t *testing.T) {
	was, moved := Sample{HasOOM: true, OOMKills: 3}, Sample{HasOOM: true, OOMKills: 4}
	tests := []struct {
		name          string
		before, after Sample
		sigkill, want bool
	}{
		{"killed, and counted", was, moved, true, true},
		{"killed by somebody else", was, was, true, false},
		{"counted, but it exited", was, moved, false, false},
		{"no memory controller", Sample{}, Sample{}, true, false},
	}
	for _, tt := range tests {
		if got := tt.after.OOMKilled(tt.before, tt.sigkill); got != tt.want {
			t.Errorf("%s: OOMKilled = %v, want %v", tt.name, got, tt.want)
		}
	}
}

// FuzzParseBytes: error xor a value that prints and parses back to itself.
func FuzzParseBytes(f *testing.F) {
	for _, s := range []string{"64MiB", "max", "none", "0", "9223372036854775807", "1 K", "-1", "8388608TiB"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := ParseBytes(s)
		if err != nil {
			if n != 0 {
				t.Fatalf("ParseBytes(%q) = %d and %v", s, n, err)
			}
			return
		}
		if n < NoSwap {
			t.Fatalf("ParseBytes(%q) = %d", s, n)
		}
		back, err := ParseBytes(n.String())
		if err != nil || back != n {
			t.Fatalf("%q -> %d -> %q -> %d, %v", s, n, n, back, err)
		}
	})
}

// FuzzLimits_Check: what is accepted stays within what the kernel takes.
func FuzzLimits_Check(f *testing.F) {
	f.Add(int64(64<<20), int64(32), 0.5, 100, "0-3,7")
	f.Add(int64(-1), int64(-1), -0.5, -100, "3-0")
	f.Add(int64(math.MaxInt64), int64(math.MaxInt64), math.Inf(1), 10000, "0")
	f.Fuzz(func(t *testing.T, mem, pids int64, cpus float64, weight int, set string) {
		l := Limits{MemoryMax: Bytes(mem), PidsMax: pids, CPUs: cpus, CPUWeight: weight, CPUSet: set}
		err := l.Check()
		var le *LimitError
		if err != nil && !errors.As(err, &le) {
			t.Fatalf("%v is no LimitError", err)
		}
		if err == nil && (mem < 0 || pids < 0 || cpus < 0 || math.IsNaN(cpus) || weight < 0 || weight > 10000) {
			t.Fatalf("%+v was accepted", l)
		}
		if err == nil {
			for _, c := range set {
				if (c < '0' || c > '9') && c != ',' && c != '-' {
					t.Fatalf("CPUSet %q was accepted", set)
				}
			}
		}
	})
}
