// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package tfork

import "github.com/seed-cb702d51/tfork-go/internal/feature"

func waiterSupported() error { return &feature.Error{Name: "strategy waiter"} }

func waiterOption(reason string) option {
	return option{
		choice: choice{strategy: Waiter, guarded: true, reason: reason},
		start:  func(*launch) (int, handle, error) { return 0, nil, waiterSupported() },
	}
}

func serveWaiter(int) error { return waiterSupported() }
