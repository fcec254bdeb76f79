// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package prefork

import (
	"context"
	"errors"
	"runtime"
	"testing"
)

func TestNew_SaysUnsupportedElsewhere(t *testing.T) {
	if runtime.GOOS == "linux" {
		t.Skip("it is supported here")
	}
	Register(Service{Name: "x", Serve: func(context.Context, *Task) error { return nil }})
	if _, err := New(Options{}); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("New: %v", err)
	}
	if _, err := Processes(t.TempDir()); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("Processes: %v", err)
	}
}
