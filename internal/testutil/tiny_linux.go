// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package testutil

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
)

// Tiny writes a static program that does nothing but exit_group(code), and
// returns its path. Starting it costs what starting costs: /bin/true hides
// that behind its own page faults.
func Tiny(t testing.TB, code byte) string {
	return writeProgram(t, "tiny", exitCode(code))
}

// TinyPause writes a static program that waits for a signal for ever: the
// smallest live process there is.
func TinyPause(t testing.TB) string {
	return writeProgram(t, "pause", pauseCode())
}

func writeProgram(t testing.TB, name string, text []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	// A fork elsewhere in the process must not inherit the file while it is
	// open for writing: the program would be busy (ETXTBSY).
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	if err := os.WriteFile(path, elf(text), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func exitCode(code byte) []byte {
	switch runtime.GOARCH {
	case "amd64":
		return []byte{0xb8, 231, 0, 0, 0, 0xbf, code, 0, 0, 0, 0x0f, 0x05} // mov eax,231; mov edi,code; syscall
	case "arm64":
		return arm64Code(0xd2800000|uint32(code)<<5, 0xd2800bc8, 0xd4000001) // mov x0,#code; mov x8,#94; svc #0
	}
	panic("testutil: no tiny program for " + runtime.GOARCH)
}

func pauseCode() []byte {
	switch runtime.GOARCH {
	case "amd64":
		return []byte{0xb8, 34, 0, 0, 0, 0x0f, 0x05, 0xeb, 0xf7} // again: mov eax,34 (pause); syscall; jmp again
	case "arm64":
		// again: mov x0..x4,#0; mov x8,#73 (ppoll); svc #0; b again
		return arm64Code(0xd2800000, 0xd2800001, 0xd2800002, 0xd2800003, 0xd2800004, 0xd2800928, 0xd4000001, 0x17fffff9)
	}
	panic("testutil: no tiny program for " + runtime.GOARCH)
}

func arm64Code(instructions ...uint32) []byte {
	var text []byte
	for _, i := range instructions {
		text = binary.LittleEndian.AppendUint32(text, i)
	}
	return text
}

// elf is one ELF header, one PT_LOAD segment and the text.
func elf(text []byte) []byte {
	machine := map[string]uint16{"amd64": 62, "arm64": 183}[runtime.GOARCH]
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
