// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package pidfd

import (
	"errors"
	"testing"
)

func TestElsewhere_EverythingIsUnsupported(t *testing.T) {
	_, openErr := Open(1)
	_, newErr := New(3)
	tests := map[string]error{"Open": openErr, "New": newErr, "HaveSet": HaveSet()}
	for _, f := range Features() {
		tests[f.Name] = f.Have()
	}
	for name, err := range tests {
		if !errors.Is(err, errors.ErrUnsupported) || !errors.Is(err, ErrNotSupported) {
			t.Errorf("%s = %v, want errors.ErrUnsupported", name, err)
		}
	}
}
