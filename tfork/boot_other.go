// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package tfork

func (*Cmd) boot(*launch, bool) (func(), error) { return nil, errSystem("worker function") }
