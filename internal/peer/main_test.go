// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package peer_test

import (
	"testing"

	"github.com/seed-cb702d51/tfork-go/internal/testutil"
)

// The package is another one because testutil imports this one.
func TestMain(m *testing.M) { testutil.Main(m, nil) }
