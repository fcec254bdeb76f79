// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package sys

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/seed-cb702d51/tfork-go/internal/testutil"
)

func TestSealedMemfd_HoldsAllPartsForGood(t *testing.T) {
	fd, err := SealedMemfd("test", []byte("one "), nil, bytes.Repeat([]byte("x"), 100_000))
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	b := make([]byte, 100_004)
	if err := ReadAt(fd, b, 0); err != nil || string(b[:5]) != "one x" || b[len(b)-1] != 'x' {
		t.Errorf("ReadAt = %v, %q...", err, b[:5])
	}
	if err := ReadAt(fd, b[:4], 100_000); err != nil || string(b[:4]) != "xxxx" {
		t.Errorf("ReadAt of the end = %v, %q", err, b[:4])
	}
	if err := ReadAt(fd, b, 1); err != io.ErrUnexpectedEOF {
		t.Errorf("ReadAt beyond the end = %v", err)
	}
	if _, err := unix.Pwrite(fd, []byte("y"), 0); err != unix.EPERM {
		t.Errorf("a write = %v", err)
	}
	if err := unix.Ftruncate(fd, 1); err != unix.EPERM {
		t.Errorf("ftruncate = %v", err)
	}
}

// TestSealedMemfd_BeyondTheFileSizeLimit: the limit counts for all parts together,
// and the signal that the kernel has for it does not come.
func TestSealedMemfd_BeyondTheFileSizeLimit(t *testing.T) {
	c := exec.Command(testutil.Exe())
	c.Env = testutil.HelperEnv(helperSmallFiles)
	if out, err := c.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

var helperSmallFiles = testutil.Helper("small files", func([]string) int {
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: 1000, Max: 1000}); err != nil {
		fmt.Println(err)
		return 1
	}
	part := make([]byte, 500)
	if _, err := SealedMemfd("test", part, part); err != nil {
		fmt.Println("at the limit:", err)
		return 1
	}
	if _, err := SealedMemfd("test", part, part, part[:1]); !errors.Is(err, unix.EFBIG) {
		fmt.Println("beyond the limit:", err)
		return 1
	}
	return 0
})
