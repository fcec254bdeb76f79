// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package cgroupfs

import (
	"errors"
	"testing"
)

func TestStubs_SayUnsupported(t *testing.T) {
	_, frozenErr := Frozen(0)
	_, readErr := Read(0)
	_, oomErr := ReadOOM(0)
	_, mountErr := FindMount()
	for _, err := range []error{Check(0), Move(0, 1), frozenErr, readErr, oomErr, mountErr} {
		if !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%v is not ErrUnsupported", err)
		}
	}
}
