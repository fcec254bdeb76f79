// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package sys

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
	"testing"
)

func TestCheckAttributes_IsWhatTheStandardLibrarySays(t *testing.T) {
	tests := []struct {
		name string
		attr syscall.SysProcAttr
		ok   bool
	}{
		{"nothing", syscall.SysProcAttr{}, true},
		{"Setctty and Foreground", syscall.SysProcAttr{Setctty: true, Foreground: true}, false},
		{"Ctty out of range", syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 3}, false},
		{"Ctty that nobody asks for", syscall.SysProcAttr{Ctty: 3}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := exec.Command("/bin/true")
			c.SysProcAttr = &tt.attr
			want := c.Run()
			if p, ok := errors.AsType[*os.PathError](want); ok {
				want = p.Err
			}
			got := CheckAttributes(&tt.attr, 3)
			if (got == nil) != tt.ok || got != nil && got.Error() != want.Error() || got == nil && want != nil {
				t.Errorf("CheckAttributes = %v, os/exec says %v", got, want)
			}
		})
	}
}

// TestCheckAttributes_Capabilities: with 64 the standard library would panic, in a
// worker that is no process of its own yet.
func TestCheckAttributes_Capabilities(t *testing.T) {
	for number, want := range map[uintptr]error{0: nil, 63: nil, 64: syscall.EINVAL, 1 << 20: syscall.EINVAL} {
		if err := CheckAttributes(&syscall.SysProcAttr{AmbientCaps: []uintptr{1, number}}, 3); err != want {
			t.Errorf("capability %d: %v, want %v", number, err, want)
		}
	}
}
