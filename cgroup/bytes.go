// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package cgroup

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Bytes is an amount of memory. Its text forms are "64MiB", "1073741824",
// "none" for [NoSwap] and "max" for [Unlimited]; it can be used in
// configuration files (encoding.TextUnmarshaler) and for flags.
type Bytes int64

// Units of [Bytes].
const (
	KiB Bytes = 1 << 10
	MiB Bytes = 1 << 20
	GiB Bytes = 1 << 30
	TiB Bytes = 1 << 40
)

const (
	// Unlimited takes a limit away. It fits every field of [Limits] that is a
	// number of bytes, and PidsMax; for CPUs it is math.Inf(1).
	Unlimited = math.MaxInt64
	// NoSwap is SwapMax's "nothing at all": zero would leave it alone.
	NoSwap Bytes = -1
)

// units are the suffixes that are understood, the longest first. The kernel's
// and systemd's K is 1024 as well.
var units = []struct {
	suffix string
	size   Bytes
}{
	{"TiB", TiB},
	{"GiB", GiB},
	{"MiB", MiB},
	{"KiB", KiB},
	{"T", TiB},
	{"G", GiB},
	{"M", MiB},
	{"K", KiB},
	{"B", 1},
	{"", 1},
}

// ParseBytes reads a whole number with an optional unit: B, KiB, MiB, GiB, TiB
// (or K, M, G, T, which mean the same), "max", "none". No sign, no fraction.
func ParseBytes(s string) (Bytes, error) {
	switch s {
	case "max":
		return Unlimited, nil
	case "none":
		return NoSwap, nil
	}
	for _, u := range units {
		digits, ok := strings.CutSuffix(s, u.suffix)
		if !ok {
			continue
		}
		n, err := strconv.ParseUint(strings.TrimSuffix(digits, " "), 10, 63)
		if err != nil {
			break
		}
		if n > uint64(math.MaxInt64/u.size) {
			return 0, fmt.Errorf("cgroup: %q is more than %d bytes", s, int64(math.MaxInt64))
		}
		return Bytes(n) * u.size, nil
	}
	return 0, fmt.Errorf("cgroup: %q is no amount of memory: want a whole number with B, KiB, MiB, GiB or TiB, or max", s)
}

// String returns the text with the largest unit that keeps it exact.
func (b Bytes) String() string {
	switch {
	case b == Unlimited:
		return "max"
	case b == NoSwap:
		return "none"
	case b <= 0:
		return strconv.FormatInt(int64(b), 10)
	}
	for _, u := range units {
		if b%u.size == 0 && (u.size > 1 || u.suffix == "") {
			return strconv.FormatInt(int64(b/u.size), 10) + u.suffix
		}
	}
	return strconv.FormatInt(int64(b), 10)
}

// MarshalText returns the text of String.
func (b Bytes) MarshalText() ([]byte, error) { return []byte(b.String()), nil }

// UnmarshalText reads what [ParseBytes] reads.
func (b *Bytes) UnmarshalText(text []byte) error {
	n, err := ParseBytes(string(text))
	if err == nil {
		*b = n
	}
	return err
}

// Set is [Bytes.UnmarshalText], for package flag.
func (b *Bytes) Set(s string) error { return b.UnmarshalText([]byte(s)) }

// Type names the value in the usage text of command lines.
func (*Bytes) Type() string { return "size" }
