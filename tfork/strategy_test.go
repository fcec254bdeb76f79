// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package tfork

import (
	"errors"
	"strconv"
	"strings"
	"testing"

	"github.com/seed-cb702d51/tfork-go/internal/feature"
)

func itoa(n int) string { return strconv.Itoa(n) }

// TestAuto_Table is the table of Auto in docs/architecture.md.
func TestAuto_Table(t *testing.T) {
	missing := &feature.Error{Name: "exit info", Since: "Linux 6.15"}
	unsure := errors.New("no thread that may be ended")
	tests := []struct {
		name string
		s    surroundings
		want string
	}{
		{"exit info", surroundings{}, "direct"},
		{"exit info, no waiter", surroundings{waiter: ErrNoDispatch}, "direct"},
		{"exit info, SIGCHLD ignored", surroundings{sigchldIgnored: true}, "waiter direct"},
		{"exit info, SIGCHLD ignored, no waiter", surroundings{sigchldIgnored: true, waiter: ErrNoDispatch}, "direct"},
		{"no exit info", surroundings{exitInfo: missing}, "waiter direct"},
		{"no exit info, SIGCHLD ignored", surroundings{exitInfo: missing, sigchldIgnored: true}, "waiter direct"},
		{"no exit info, no waiter", surroundings{exitInfo: missing, waiter: ErrNoDispatch}, "direct"},
		{"exit info unknown", surroundings{exitInfo: unsure}, "waiter direct"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, o := range autoOptions(tt.s) {
				got = append(got, o.strategy.String())
				if o.reason == "" {
					t.Errorf("%v without a reason", o.strategy)
				}
			}
			if strings.Join(got, " ") != tt.want {
				t.Errorf("options %v, want %s", got, tt.want)
			}
		})
	}
}

func TestStrategy_Environment(t *testing.T) {
	tests := []struct {
		value   string
		cmd     Cmd
		want    Strategy
		problem string
	}{
		{value: "direct", want: Direct},
		{value: "waiter", want: Waiter},
		{value: "auto", want: Auto},
		{value: "waiter", cmd: Cmd{Strategy: Direct}, want: Direct},
		{value: "direct", cmd: Cmd{Dedicated: true}, want: Waiter},
		{value: "fork", problem: `TFORK_STRATEGY: unknown strategy "fork": valid are auto, direct, waiter`},
		{value: "", want: Auto},
		{value: "auto", cmd: Cmd{Strategy: Direct, Dedicated: true}, problem: "Cmd.Dedicated"},
		{value: "auto", cmd: Cmd{Strategy: 7}, problem: "Cmd.Strategy is Strategy(7)"},
	}
	for _, tt := range tests {
		t.Setenv(strategyEnv, tt.value)
		got, _, err := tt.cmd.wanted()
		switch {
		case tt.problem != "":
			if err == nil || !strings.Contains(err.Error(), tt.problem) {
				t.Errorf("%q %+v: error %v, want %q", tt.value, tt.cmd.Strategy, err, tt.problem)
			}
		case err != nil || got != tt.want:
			t.Errorf("%q: %v, %v, want %v", tt.value, got, err, tt.want)
		}
	}
}

func TestStrategy_WaiterWithoutDispatch(t *testing.T) {
	dispatched.Store(false)
	defer dispatched.Store(true)
	c := Command("/bin/true")
	c.Strategy = Waiter
	if err := c.Start(); !errors.Is(err, ErrNoDispatch) {
		t.Errorf("Start = %v, want ErrNoDispatch", err)
	}
}

func TestParseStrategy_RoundTrip(t *testing.T) {
	for _, s := range []Strategy{Auto, Direct, Waiter} {
		if got, err := ParseStrategy(s.String()); err != nil || got != s {
			t.Errorf("ParseStrategy(%v) = %v, %v", s, got, err)
		}
	}
}
