// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package sandbox

import (
	"errors"
	"fmt"
)

// Profiles returns none: there is no seccomp here.
func Profiles() []Profile { return nil }

// Exec answers [errors.ErrUnsupported].
func Exec(string, []string) error {
	return fmt.Errorf("seccomp: %w", errors.ErrUnsupported)
}
