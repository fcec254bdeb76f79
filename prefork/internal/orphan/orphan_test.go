// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package orphan

import (
	"errors"
	"runtime"
	"testing"

	"github.com/seed-cb702d51/tfork-go/internal/testutil"
)

func TestMain(m *testing.M) { testutil.Main(m, nil) }

func TestRun_SaysUnsupportedWhereItIs(t *testing.T) {
	if possible() == nil {
		t.Skip("it is supported here")
	}
	if err := Run(t.Context(), nil, nil); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("Run: %v", err)
	}
	if runtime.GOOS != "linux" && Needed() {
		t.Error("orphans come to us")
	}
}
