// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package services

import "errors"

func raise(int) error { return errors.ErrUnsupported }
