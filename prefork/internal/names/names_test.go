// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package names

import (
	"errors"
	"runtime"
	"testing"

	"github.com/seed-cb702d51/tfork-go/internal/testutil"
	"github.com/seed-cb702d51/tfork-go/prefork/internal/message"
)

func TestMain(m *testing.M) { testutil.Main(m, nil) }

func TestName_RoundTrip(t *testing.T) {
	tests := []struct {
		role, service string
		instance      int
		unique        uint64
		want          string
	}{
		{Supervisor, "", -1, 0, "prefork-supervisor"},
		{Master, "echo", -1, 0, "prefork-master-echo"},
		{Master, "my-service", -1, 12, "prefork-master-my-service+12"},
		{Worker, "echo", 0, 0, "prefork-worker-echo-0"},
		{Worker, "a-1", 31, 7, "prefork-worker-a-1-31+7"},
	}
	for _, tt := range tests {
		name := Name(tt.role, tt.service, tt.instance, tt.unique)
		role, service, instance, ok := Split(name)
		if name != tt.want || !ok || role != tt.role || service != tt.service || instance != tt.instance {
			t.Errorf("%s: split as %s %s %d %t, want %s", name, role, service, instance, ok, tt.want)
		}
	}
	for _, other := range []string{"", "prefork-", "prefork-king-x", "prefork-worker-", "prefork-worker-echo", "prefork-worker-echo-x", "prefork-worker-echo--1x", "supervisor.lock", ".1-1"} {
		if role, service, instance, ok := Split(other); ok {
			t.Errorf("Split(%q) = %s %s %d", other, role, service, instance)
		}
	}
}

func TestDir_SaysUnsupportedElsewhere(t *testing.T) {
	if runtime.GOOS == "linux" {
		t.Skip("it is supported here")
	}
	if _, err := Open(t.TempDir(), 0); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("Open: %v", err)
	}
	if err := Remove(t.TempDir()); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("Remove: %v", err)
	}
	if _, err := List(t.TempDir(), 0); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("List: %v", err)
	}
	if _, _, err := Ask(t.TempDir(), "x", message.Message{}, 0); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("Ask: %v", err)
	}
}
