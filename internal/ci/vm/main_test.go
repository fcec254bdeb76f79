// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package vm

import (
	"testing"

	"github.com/seed-cb702d51/tfork-go/internal/testutil"
)

func TestMain(m *testing.M) { testutil.Main(m, nil) }
