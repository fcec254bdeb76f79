// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package tfork

import (
	"errors"
	"testing"
)

func TestOtherSystems_SayUnsupported(t *testing.T) {
	Register("nothing", func(*Worker) int { return 0 })
	for name, c := range map[string]*Cmd{"Command": {Path: "x"}, "Func": Func("nothing")} {
		if err := c.Start(); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%s: %v, want errors.ErrUnsupported", name, err)
		}
	}
}
