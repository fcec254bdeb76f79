// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package sys

// OpenPoller has nothing to do where nothing is started.
func OpenPoller() error { return nil }
