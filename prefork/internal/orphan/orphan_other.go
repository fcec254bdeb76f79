// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package orphan

import (
	"context"
	"errors"
	"fmt"
)

func possible() error { return fmt.Errorf("orphan: %w", errors.ErrUnsupported) }

func run(context.Context, func(int) bool, func(Reaped)) error { return possible() }

func needed() bool { return false }

func isZombie(int) bool { return false }
