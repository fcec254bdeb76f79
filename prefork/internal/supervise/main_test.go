// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package supervise

import (
	"testing"

	"github.com/seed-cb702d51/tfork-go/internal/testutil"
)

func TestMain(m *testing.M) { testutil.Main(m, nil) }
