// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package testutil

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// Tiny writes a static program that does nothing but exit_group(code), and
// returns its path. Starting it costs what starting costs: /bin/true hides
// that behind its own page faults.
func Tiny(t testing.TB, code byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tiny")
	if err := os.WriteFile(path, tinyELF(code), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// tinyELF is one ELF header, one PT_LOAD segment and three instructions.
func tinyELF(code byte) []byte {
	var machine uint16
	var text []byte
	switch runtime.GOARCH {
	case "amd64":
		machine = 62
		text = []byte{0xb8, 231, 0, 0, 0, 0xbf, code, 0, 0, 0, 0x0f, 0x05} // mov eax,231; mov edi,code; syscall
	case "arm64":
		machine = 183
		text = binary.LittleEndian.AppendUint32(text, 0xd2800000|uint32(code)<<5) // mov x0,#code
		text = binary.LittleEndian.AppendUint32(text, 0xd2800bc8)                 // mov x8,#94
		text = binary.LittleEndian.AppendUint32(text, 0xd4000001)                 // svc #0
	default:
		panic("testutil: no tiny program for " + runtime.GOARCH)
	}
	const base, headers = 0x400000, 64 + 56
	size := uint64(headers + len(text))
	var b bytes.Buffer
	b.Write([]byte{0x7f, 'E', 'L', 'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	for _, v := range []any{
		uint16(2), machine, uint32(1), uint64(base + headers), uint64(64), uint64(0),
		uint32(0), uint16(64), uint16(56), uint16(1), uint16(0), uint16(0), uint16(0),
		uint32(1), uint32(5), uint64(0), uint64(base), uint64(base), size, size, uint64(0x1000),
	} {
		binary.Write(&b, binary.LittleEndian, v)
	}
	b.Write(text)
	return b.Bytes()
}
