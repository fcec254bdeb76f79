// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package role

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// Kind is the part that a process plays.
type Kind string

// The kinds.
const (
	// Worker runs one registered function.
	Worker Kind = "worker"
	// Waiter starts workers and collects their statuses.
	Waiter Kind = "waiter"
	// Launcher joins a cgroup and then executes a program.
	Launcher Kind = "launcher"
)

// Exe names this very program, even if the file was replaced or deleted.
const Exe = "/proc/self/exe"

// ExitRefused is the exit code of a process that will not play its role.
const ExitRefused = 125

// envKey is the environment variable that carries the marker.
const envKey = "TFORK_ROLE"

// ErrSecure says that the process gained privileges by its execution.
var ErrSecure = errors.New("role refused: this process runs set-uid, set-gid or with file capabilities (AT_SECURE)")

// Role is what a process is told to be.
type Role struct {
	Kind Kind
	// FD is the number of the descriptor that the role inherits and owns.
	FD int
}

// Marker returns the environment entry that makes a process play r.
func (r Role) Marker() string {
	return envKey + "=" + string(r.Kind) + ":" + strconv.Itoa(r.FD)
}

// parse is the inverse of Marker, without the key.
func parse(s string) (Role, error) {
	kind, num, ok := strings.Cut(s, ":")
	fd, err := strconv.ParseUint(num, 10, 31)
	if !ok || err != nil || fd < 3 {
		return Role{}, fmt.Errorf("role refused: %s=%q is not KIND:FD", envKey, s)
	}
	switch Kind(kind) {
	case Worker, Waiter, Launcher:
		return Role{Kind: Kind(kind), FD: int(fd)}, nil
	}
	return Role{}, fmt.Errorf("role refused: unknown kind %q in %s", kind, envKey)
}

// Take takes the marker out of the environment. ok tells whether there was
// one; err says why the role must not be played (the process must end then:
// going on would make it a copy of its caller).
func Take() (r Role, ok bool, err error) {
	s, ok := os.LookupEnv(envKey)
	if !ok {
		return Role{}, false, nil
	}
	if err := os.Unsetenv(envKey); err != nil {
		return Role{}, true, err
	}
	if Secure() {
		return Role{}, true, ErrSecure
	}
	r, err = parse(s)
	return r, true, err
}

// Strip returns env without any marker, so that none is handed on by accident.
func Strip(env []string) []string {
	for i, kv := range env {
		if strings.HasPrefix(kv, envKey+"=") {
			return append(append([]string{}, env[:i]...), Strip(env[i+1:])...)
		}
	}
	return env
}
