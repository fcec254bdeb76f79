// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package feature

import (
	"errors"
	"syscall"
	"testing"
)

func TestProbe_ThreeAnswers(t *testing.T) {
	unsure := errors.New("out of descriptors")
	tests := []struct {
		name        string
		answer      error
		asked       int // how often two calls of Have reach the system
		unsupported bool
	}{
		{name: "works", answer: nil, asked: 1},
		{name: "absent", answer: Absent(syscall.EINVAL), asked: 1, unsupported: true},
		{name: "could not tell", answer: unsure, asked: 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			asked := 0
			p := New("thing", "Linux 9.9", func() error { asked++; return tt.answer })
			first, second := p.Have(), p.Have()
			if !errors.Is(first, second) && first != second {
				t.Errorf("Have = %v, then %v", first, second)
			}
			if asked != tt.asked {
				t.Errorf("system asked %d times, want %d", asked, tt.asked)
			}
			if got := errors.Is(first, ErrNotSupported); got != tt.unsupported {
				t.Errorf("Is(%v, ErrNotSupported) = %v, want %v", first, got, tt.unsupported)
			}
			if got := errors.Is(first, errors.ErrUnsupported); got != tt.unsupported {
				t.Errorf("Is(%v, errors.ErrUnsupported) = %v, want %v", first, got, tt.unsupported)
			}
		})
	}
}

func TestError_Text(t *testing.T) {
	err := &Error{Name: "pidfd exit info", Since: "Linux 6.15", Reason: syscall.ENOTTY}
	const want = "pidfd exit info: not supported (needs Linux 6.15): inappropriate ioctl for device"
	if err.Error() != want {
		t.Errorf("got  %s\nwant %s", err, want)
	}
	if !errors.Is(err, syscall.ENOTTY) {
		t.Error("the reason is not wrapped")
	}
}
