// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package theft

import (
	"errors"
	"fmt"
	"runtime"
)

func all() ([]Surroundings, error) {
	return nil, fmt.Errorf("theft on %s: %w", runtime.GOOS, errors.ErrUnsupported)
}
