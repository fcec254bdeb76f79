// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package tfork

import "os"

type eventWriter struct{}

func newEvent() (*os.File, eventWriter, error) { return nil, eventWriter{}, errSystem("event fd") }

func (eventWriter) fire() {}
