// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package tfork

import "os"

type childFD int

func (childFD) Close() error { return nil }

type pipeUse int

const (
	workerReads  pipeUse = 0
	workerWrites pipeUse = 1

	stdinPipeName = "|1"
)

func newPipe(pipeUse) (childFD, *os.File, error) { return -1, nil, errSystem("pipe") }

func openNull() (childFD, error) { return -1, errSystem("null device") }
