// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package prefork

import "os"

func unpolled(*os.File) (*os.File, error) { return nil, errUnsupported }
