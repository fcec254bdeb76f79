// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package vm

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// fakeEmulator puts a shell script in the emulator's place.
func fakeEmulator(t *testing.T, script string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, Emulator), []byte("#!/bin/sh\n"+script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
}

func TestMachine_TellsHowItEnded(t *testing.T) {
	tests := []struct {
		name, script, lines, console string
		err                          error
	}{
		{"off by itself", "echo log; echo one >&3; echo two >&3", "one two", "log\n", nil},
		{"panic, though the emulator is content", "echo one >&3; echo 'Kernel panic - not syncing'", "one", "Kernel panic - not syncing\n", ErrPanic},
		{"silent for too long", "echo one >&3; exec sleep 1000", "one", "", ErrHung},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			fakeEmulator(t, tt.script)
			var lines []string
			m := Machine{Silence: 2 * time.Second}
			console, err := m.Run(context.Background(), func(b []byte) { lines = append(lines, string(b)) })
			if !errors.Is(err, tt.err) || tt.err == nil && err != nil {
				t.Errorf("error %v, want %v", err, tt.err)
			}
			if got := strings.Join(lines, " "); got != tt.lines || console != tt.console {
				t.Errorf("records %q and console %q, want %q and %q", got, console, tt.lines, tt.console)
			}
		})
	}
}

func TestMachine_EmulatorFails(t *testing.T) {
	fakeEmulator(t, "echo no such machine >&2; exit 1")
	console, err := Machine{Silence: time.Minute}.Run(context.Background(), func([]byte) {})
	if err == nil || !strings.Contains(err.Error(), "exit status 1") || console != "no such machine\n" {
		t.Errorf("got %v and %q", err, console)
	}
}

func TestMachine_EndsWithItsContext(t *testing.T) {
	fakeEmulator(t, "echo one >&3; exec sleep 1000")
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	_, err := Machine{Silence: time.Minute}.Run(ctx, func([]byte) { cancel() })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
