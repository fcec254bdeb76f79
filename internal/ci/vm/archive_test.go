// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package vm

import (
	"bytes"
	"errors"
	"io/fs"
	"strconv"
	"strings"
	"testing"
)

func TestArchive_NewcForm(t *testing.T) {
	var b bytes.Buffer
	a := NewArchive(&b)
	a.File("/a/b", 0o755, []byte("12345"))
	a.File("/a/c", 0o600, nil)
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if b.Len()%4 != 0 {
		t.Errorf("%d bytes, not a multiple of 4", b.Len())
	}
	// The folder once, then the file: header of 110 bytes, name with NUL,
	// padded to 4, data padded to 4.
	got := b.String()
	if n := strings.Count(got, "070701"); n != 4 {
		t.Errorf("%d entries, want folder, two files and the trailer", n)
	}
	second := got[112:] // 110 + "a\0"
	if !strings.HasPrefix(second, "07070100000002000081ED") || second[54:62] != "00000005" || second[110:114] != "a/b\x00" {
		t.Errorf("entry of the file: %q", second[:120])
	}
	if second[116:124] != "12345\x00\x00\x00" {
		t.Errorf("data of the file: %q", second[116:124])
	}
}

func TestArchive_KeepsTheFirstError(t *testing.T) {
	a := NewArchive(&bytes.Buffer{})
	a.Copy("/x", "/does/not/exist")
	a.File("/y", 0o644, nil)
	if err := a.Close(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

func TestArchive_ProgramBringsItsLibraries(t *testing.T) {
	if _, _, err := needs("/bin/sh"); err != nil {
		t.Skipf("no ELF program to look at: %v", err)
	}
	var b bytes.Buffer
	a := NewArchive(&b)
	a.Program("/bin/sh")
	a.Program("/bin/sh") // is there already
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	got := entries(t, b.Bytes())
	for _, name := range []string{"bin/sh", "lib/x86_64-linux-gnu/libc.so.6", "lib64/ld-linux-x86-64.so.2"} {
		if n := got[name]; n != 1 {
			t.Errorf("%s is in the archive %d times", name, n)
		}
	}
}

// entries counts the names in an archive.
func entries(t *testing.T, archive []byte) map[string]int {
	t.Helper()
	names := map[string]int{}
	field := func(at int) int {
		n, err := strconv.ParseInt(string(archive[at:at+8]), 16, 64)
		if err != nil {
			t.Fatal(err)
		}
		return int(n)
	}
	padded := func(n int) int { return (n + 3) &^ 3 }
	for at := 0; at < len(archive); {
		size, name := field(at+54), field(at+94)
		names[string(archive[at+110:at+110+name-1])]++
		at = padded(padded(at+110+name) + size)
	}
	return names
}
