// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"time"
)

// maxName keeps a process's name a file name and its title readable.
const maxName = 32

// CheckName says what is wrong with the name of a service, or nil. Names are
// compared without case; they are parts of file names and of process titles.
func CheckName(name string) error {
	switch {
	case name == "":
		return &Error{Key: "service", Problem: "a service needs a name"}
	case len(name) > maxName:
		return &Error{Key: "service." + name, Problem: "the name is longer than 32 bytes"}
	}
	for i, r := range strings.ToLower(name) {
		letter := 'a' <= r && r <= 'z' || '0' <= r && r <= '9'
		if !letter && (i == 0 || !strings.ContainsRune("-_.", r)) {
			return &Error{Key: "service." + name, Problem: "a name is letters and digits, then also . _ -"}
		}
	}
	return nil
}

// networks are what an address of [Settings.Listen] may begin with.
var networks = []string{"tcp", "tcp4", "tcp6", "udp", "udp4", "udp6", "unix", "unixgram", "systemd"}

// SplitListen takes an address of [Settings.Listen] apart.
func SplitListen(s string) (network, address string, err error) {
	network, address, ok := strings.Cut(s, ":")
	switch {
	case !ok || !slices.Contains(networks, network):
		return "", "", errors.New("want NETWORK:ADDRESS, where NETWORK is " + strings.Join(networks, ", "))
	case address == "":
		return "", "", errors.New("the address is missing")
	}
	return network, address, nil
}

// shortest is the least that can be asked of a process: with less, every one
// would be ended again and again for being late.
const shortest = 10 * time.Millisecond

// Check says everything that is wrong with a configuration, or nil.
func (c *Config) Check() error {
	var errs []error
	defaults := c.defaults()
	errs = append(errs, c.checkSettings("", &defaults)...)
	for _, name := range slices.Sorted(maps.Keys(c.Services)) {
		s := c.Services[name]
		if err := CheckName(name); err != nil {
			errs = append(errs, err)
		}
		if name != strings.ToLower(name) {
			errs = append(errs, &Error{Key: "service." + name, Problem: "the name must be in lower case here"})
		}
		if s != nil {
			errs = append(errs, c.checkSettings("service."+name+".", s)...)
		}
	}
	return errors.Join(errs...)
}

// checkSettings holds one set of settings against the table, and against what
// the table cannot say.
func (c *Config) checkSettings(prefix string, s *Settings) (errs []error) {
	for _, k := range keys() {
		field := k.field(c, s)
		if err := k.check(field); err != nil {
			errs = append(errs, &Error{Key: prefix + k.name, Value: text(field), Problem: err.Error()})
		}
	}
	for _, d := range []struct {
		name  string
		value time.Duration
	}{{"ready-timeout", s.ReadyTimeout}, {"heartbeat-timeout", s.HeartbeatTimeout}, {"max-age", s.MaxAge}} {
		if 0 < d.value && d.value < shortest {
			errs = append(errs, &Error{Key: prefix + d.name, Value: d.value.String(), Problem: "must be 0, which is off, or at least " + shortest.String()})
		}
	}
	for _, l := range s.Listen {
		if _, _, err := SplitListen(l); err != nil {
			errs = append(errs, &Error{Key: prefix + "listen", Value: l, Problem: err.Error()})
		}
	}
	for name := range s.RLimits {
		if !slices.Contains(RLimitNames, name) {
			errs = append(errs, &Error{Key: prefix + "rlimit-" + name, Problem: "no such limit; known are " + strings.Join(RLimitNames, ", ")})
		}
	}
	return errs
}
