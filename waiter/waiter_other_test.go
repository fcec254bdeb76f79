// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package waiter

import (
	"errors"
	"testing"

	"github.com/seed-cb702d51/tfork-go/internal/feature"
)

func TestSpawn_IsUnsupportedHere(t *testing.T) {
	var p Pool
	defer p.CloseIdle()
	_, err := p.Spawn(&Request{Path: "/bin/true"})
	if !errors.Is(err, errors.ErrUnsupported) || !errors.Is(err, feature.ErrNotSupported) {
		t.Errorf("Spawn: %v, want errors.ErrUnsupported", err)
	}
}
