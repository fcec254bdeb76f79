// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

// Package waiter is the process between caller and worker: the only one that
// can wait for the worker, and that tells the caller how it ended.
package waiter
