// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package wire

import "encoding/binary"

// reader takes fixed-size values off a payload. After the first value that is
// not there everything reads as zero, and done tells.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) take(n int) []byte {
	if r.bad || n < 0 || n > len(r.b) {
		r.bad = true
		return nil
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

func (r *reader) u8() uint8 {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) u32() uint32 {
	if b := r.take(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

func (r *reader) u64() uint64 {
	if b := r.take(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

// count reads the number of elements that follow, of at least size bytes each:
// a number that the rest of the payload cannot hold is malformed, before
// anything is allocated for it.
func (r *reader) count(size int) int {
	n := r.u32()
	if uint64(n)*uint64(size) > uint64(len(r.b)) {
		r.bad = true
		return 0
	}
	return int(n)
}

// done answers an error unless everything was there and nothing is left.
func (r *reader) done(k Kind) error {
	if r.bad {
		return malformed("%v ends too early", k)
	}
	if len(r.b) > 0 {
		return malformed("%v has %d bytes too many", k, len(r.b))
	}
	return nil
}
