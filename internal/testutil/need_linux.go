// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package testutil

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/seed-cb702d51/tfork-go/internal/peer"
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

// NeedPeerCredentials skips the test where the kernel does not say which process
// is at the other end of a unix socket.
func NeedPeerCredentials(t testing.TB) {
	t.Helper()
	NeedFeature(t, PeersSince, peer.HaveCredentials)
}

// PeersSince is the first kernel that has what [NeedPeerCredentials] asks for.
const PeersSince = "2.6"

// Told tells whether /proc/PID/status has a line with this key here.
func Told(key string) bool { return strings.Contains(ReadFile("/proc/self/status"), "\n"+key+":\t") }

// NeedSubreaper skips the test where a process cannot become the one that orphans
// below it come to.
func NeedSubreaper(t testing.TB) {
	t.Helper()
	NeedFeature(t, "3.4", func() error {
		var is int32
		if err := unix.Prctl(unix.PR_GET_CHILD_SUBREAPER, uintptr(unsafe.Pointer(&is)), 0, 0, 0); err != nil {
			return fmt.Errorf("prctl(PR_SET_CHILD_SUBREAPER): %w: %w", errors.ErrUnsupported, err)
		}
		return nil
	})
}

// KernelAtLeast compares the running kernel's version with "MAJOR.MINOR". Only
// tests may: versions decide nothing outside of them.
func KernelAtLeast(since string) bool {
	return number(kernelRelease()) >= number(since)
}

// DebianKernel tells whether the kernel is one of Debian's, which have what their
// version has and no more; others take features back into old ones.
func DebianKernel() bool {
	return strings.Contains(kernelRelease(), "+deb") || strings.HasSuffix(kernelRelease(), "-cloud-amd64")
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
