// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package tfork

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/seed-cb702d51/tfork-go/internal/role"
)

// Environ returns a copy of the environment that the worker would get as c
// stands.
func (c *Cmd) Environ() []string {
	env, _ := c.environ()
	return env
}

// environ returns the worker's environment. With an error it returns the best
// that it could make.
func (c *Cmd) environ() ([]string, error) {
	if c.Env != nil {
		return uniqueEnv(c.Env)
	}
	env := os.Environ()
	if c.Dir == "" {
		// What the runtime hands out has neither duplicates nor NUL bytes.
		return role.Strip(env), nil
	}
	// PWD is set only where the caller did not choose an environment, and
	// might have chosen another name for the directory.
	pwd, err := filepath.Abs(c.Dir)
	if err == nil {
		env = append(env, "PWD="+pwd)
	}
	env, envErr := uniqueEnv(env)
	if err == nil {
		err = envErr
	}
	return env, err
}

var errEnvNUL = errors.New("exec: environment variable contains NUL")

// uniqueEnv returns env with the last value of each key only, in order.
// Entries without a key are kept, empty ones and those with a NUL byte are
// not; the latter are an error. No role marker is handed on.
func uniqueEnv(env []string) ([]string, error) {
	var err error
	out := make([]string, 0, len(env))
	seen := make(map[string]bool, len(env))
	for _, kv := range slices.Backward(env) {
		if strings.IndexByte(kv, 0) >= 0 {
			err = errEnvNUL
			continue
		}
		key, ok := envKey(kv)
		switch {
		case !ok && kv == "", ok && seen[key]:
			continue
		case ok:
			seen[key] = true
		}
		out = append(out, kv)
	}
	slices.Reverse(out)
	return role.Strip(out), err
}

// envKey returns the key of "key=value". A leading "=" belongs to the key.
func envKey(kv string) (string, bool) {
	if kv == "" {
		return "", false
	}
	i := strings.IndexByte(kv[1:], '=')
	if i < 0 {
		return "", kv[0] == '='
	}
	return kv[:i+1], true
}
