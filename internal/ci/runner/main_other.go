// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package main

import (
	"errors"
	"fmt"
)

func realMain([]string) error {
	return fmt.Errorf("this runs on Linux only: %w", errors.ErrUnsupported)
}
