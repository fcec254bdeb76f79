// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package testutil

import (
	"errors"
	"fmt"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// MissingKey names the environment variable that turns [NeedFeature]'s failure
// into a skip, for sandboxes that lack what their kernel version promises.
const MissingKey = "TFORK_TEST_ALLOW_MISSING"

// NeedFeature skips the test where have answers "not supported". On a kernel
// that is new enough ("6.15") that is a failure: a skip must not hide a broken
// probe. So is "could not tell".
func NeedFeature(t testing.TB, since string, have func() error) {
	t.Helper()
	err := have()
	switch {
	case err == nil:
	case !errors.Is(err, errors.ErrUnsupported):
		t.Fatalf("cannot tell whether this kernel has it: %v", err)
	case KernelAtLeast(since) && os.Getenv(MissingKey) == "":
		t.Fatalf("kernel %s should have it: %v (a sandbox? set %s=1)", kernelRelease(), err, MissingKey)
	default:
		t.Skip(err)
	}
}

// KernelAtLeast compares the running kernel's version with "MAJOR.MINOR". Only
// tests may: versions decide nothing outside of them.
func KernelAtLeast(since string) bool {
	return number(kernelRelease()) >= number(since)
}

func number(version string) int {
	var major, minor int
	fmt.Sscanf(version, "%d.%d", &major, &minor)
	return major*1000 + minor
}

func kernelRelease() string {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return "0.0"
	}
	return unix.ByteSliceToString(u.Release[:])
}
