// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package theft

import (
	"errors"
	"testing"
)

func TestAll_IsUnsupported(t *testing.T) {
	if _, err := All(); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("got %v, want errors.ErrUnsupported", err)
	}
}
