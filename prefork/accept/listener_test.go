// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package accept

import (
	"errors"
	"os"
	"runtime"
	"testing"

	"github.com/seed-cb702d51/tfork-go/internal/testutil"
)

func TestMain(m *testing.M) { testutil.Main(m, nil) }

func TestNew_SaysUnsupportedElsewhere(t *testing.T) {
	if runtime.GOOS == "linux" {
		t.Skip("it is supported here")
	}
	if _, err := New(os.Stdin); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("New: %v", err)
	}
}
