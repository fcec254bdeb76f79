// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package tfork

import "github.com/seed-cb702d51/tfork-go/internal/role"

func play(role.Role) error { return errSystem("role") }
