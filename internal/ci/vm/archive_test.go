// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package vm

import (
	"bytes"
	"errors"
	"io/fs"
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
