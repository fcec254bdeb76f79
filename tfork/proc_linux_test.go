// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package tfork

import (
	"iter"
	"os"
	"strings"
	"testing"
	"unsafe"
)

// lines returns the lines of a file.
func lines(t *testing.T, path string) iter.Seq[string] {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.SplitSeq(strings.TrimSpace(string(b)), "\n")
}

func cutColon(line string) (key, value string, ok bool) {
	key, value, ok = strings.Cut(line, ":")
	return key, strings.TrimSpace(value), ok
}

func ptr(v *int32) uintptr { return uintptr(unsafe.Pointer(v)) }
