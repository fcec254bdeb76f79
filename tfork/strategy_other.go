// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package tfork

import "github.com/seed-cb702d51/tfork-go/internal/feature"

// errSystem is the answer of everything here on systems other than Linux.
func errSystem(what string) error {
	return &feature.Error{Name: "tfork: " + what, Since: "Linux"}
}

func currentSurroundings() surroundings {
	return surroundings{exitInfo: errSystem("exit info"), waiter: errSystem("waiter")}
}

func directOption(reason string) option {
	return option{choice: choice{strategy: Direct, reason: reason}, start: unsupportedStart}
}

func waiterOption(reason string) option {
	return option{choice: choice{strategy: Waiter, reason: reason}, start: unsupportedStart}
}

// CloseIdle does nothing on this system.
func CloseIdle() {}

func waiterSupported() error { return errSystem("waiter") }

func unsupportedStart(*launch) (int, handle, error) { return 0, nil, errSystem("start") }
