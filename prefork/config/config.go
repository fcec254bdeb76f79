// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"maps"
	"slices"
	"time"
)

// Config is all that can be set. The zero value is usable: the defaults, and
// no service has settings of its own.
type Config struct {
	// RuntimeDir is where each process has its name. Empty: a directory of its
	// own below the system's temporary directory, removed at the end, though not
	// by a supervisor that is killed (see prefork.RemoveRuntimeDir).
	RuntimeDir string
	// Model is the process model: "prefork" (also if empty), "single", or one
	// that the program registered.
	Model string
	// LogFile is where all processes log to, opened for appending and again at
	// SIGHUP, by the supervisor for all. A single process that gets the signal
	// opens it itself: a worker of another user needs the right to, or it stays
	// with the old file, and logs that. Empty: standard error.
	LogFile string
	// Defaults is what a service without settings of its own gets; nil means
	// [Default].
	Defaults *Settings
	// Services has the settings of single services by name, in lower case.
	Services map[string]*Settings
}

// Of returns the settings of a service. They are a copy.
func (c *Config) Of(service string) Settings {
	if s := c.Services[service]; s != nil {
		return s.clone()
	}
	return c.defaults()
}

// defaults returns a copy of what services without settings get.
func (c *Config) defaults() Settings {
	if c.Defaults != nil {
		return c.Defaults.clone()
	}
	return Default()
}

// Settings are those of one service. Durations that are 0 are "no limit" or
// "off" unless said otherwise; start from [Default].
type Settings struct {
	// Listen are the sockets, as NETWORK:ADDRESS: tcp, tcp4, tcp6, udp, udp4,
	// udp6, unix, unixgram, or systemd with the name of a passed descriptor.
	Listen []string
	// ReusePort gives each worker a listening socket of its own (SO_REUSEPORT)
	// instead of one that all share. There cannot be fewer workers afterwards than
	// at the start. A service of one process is served as without it.
	ReusePort bool

	// Children is the number of workers; 0 binds the sockets and serves nobody.
	Children int
	// BackoffIncrement is added to the delay at each death, up to MaximumBackoff.
	BackoffIncrement, MaximumBackoff time.Duration
	// BackoffJitter lengthens delays by a random part, up to this fraction.
	BackoffJitter float64
	// BackoffReset is the length of a good run that resets the delays.
	BackoffReset time.Duration
	// RestartLimit is how many deaths of workers (or of the master) within
	// RestartWindow are still tolerated before the service counts as failed.
	RestartLimit  int
	RestartWindow time.Duration
	// FatalExitCodes are those after which nothing is restarted: the service
	// counts as failed.
	FatalExitCodes []int

	// StopTimeout is how long a worker may finish what it serves when it is
	// told to stop; it must be positive. SIGKILL follows.
	StopTimeout time.Duration
	// ReadyTimeout is how long a process may take from its start to ready; a
	// master that has workers, until its hooks have returned.
	ReadyTimeout time.Duration
	// HeartbeatTimeout is how long a ready worker may show no sign of life.
	HeartbeatTimeout time.Duration
	// AbortGrace is the time between SIGABRT and SIGKILL for a hung worker.
	AbortGrace time.Duration

	// MaxRequests, MaxAge and MaxMemory (bytes of resident memory) are when a
	// worker is replaced by a fresh one, which is ready before the old one is
	// told to leave; RecycleJitter lowers them by a random part, up to this
	// fraction, for each worker anew, so that workers take turns.
	MaxRequests   int
	MaxAge        time.Duration
	MaxMemory     uint64
	RecycleJitter float64

	// User and Group (names or numbers) are who the workers run as, with no
	// supplementary groups. A worker changes to them last, when its limits are
	// set: a negative Nice and a limit above the present one need privileges.
	// A master that serves by itself does the same; others stay who they are.
	// The server must be root's, with CAP_SETUID, CAP_SETGID and CAP_KILL.
	User, Group string
	// Nice is the priority of the workers, -20 to 19.
	Nice int
	// CPUs pins worker number i to the CPU CPUs[i mod len].
	CPUs []int
	// RLimits are resource limits of the workers by name ("nofile"): both the
	// soft and the hard one.
	RLimits map[string]uint64
}

// Default returns the defaults; those of the first three are the reference's.
func Default() Settings {
	return Settings{
		Children:         4,
		BackoffIncrement: 10 * time.Second,
		MaximumBackoff:   120 * time.Second,
		RestartWindow:    time.Minute,
		StopTimeout:      30 * time.Second,
		ReadyTimeout:     60 * time.Second,
		HeartbeatTimeout: 30 * time.Second,
		AbortGrace:       5 * time.Second,
	}
}

// clone copies what would be shared otherwise.
func (s *Settings) clone() Settings {
	c := *s
	c.Listen = slices.Clone(s.Listen)
	c.FatalExitCodes = slices.Clone(s.FatalExitCodes)
	c.CPUs = slices.Clone(s.CPUs)
	c.RLimits = maps.Clone(s.RLimits)
	return c
}
