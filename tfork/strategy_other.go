// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package tfork

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
