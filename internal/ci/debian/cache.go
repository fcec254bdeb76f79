// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package debian

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// keyring is where Debian's machines keep the keys of all its suites.
const keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"

// listAge is how long a suite's list is used without asking for a newer one.
const listAge = 12 * time.Hour

// ErrUnavailable says that a package cannot be had: the suite is gone from the
// mirror, or nothing in it matches. It is no fault of the caller's.
var ErrUnavailable = errors.New("not to be had from this machine's package sources")

// Cache fetches packages into a folder. Make it with [Open].
type Cache struct {
	dir     string
	sources Sources
}

// Open returns a cache in dir, which is made if needed.
func Open(dir string) (*Cache, error) {
	sources, err := MachineSources()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	return &Cache{dir: dir, sources: sources}, nil
}

// Dir is the cache's folder.
func (c *Cache) Dir() string { return c.dir }

// Newest returns the package with the highest version in its name among those
// of the first suite that has any match. The error is [ErrUnavailable] if no
// suite has.
func (c *Cache) Newest(ctx context.Context, suites []string, name *regexp.Regexp) (Package, error) {
	var why []error
	for _, suite := range suites {
		names, err := c.names(ctx, suite)
		if err != nil {
			why = append(why, fmt.Errorf("%s: %w", suite, err))
			continue
		}
		names = slices.DeleteFunc(names, func(n string) bool { return !name.MatchString(n) })
		if len(names) == 0 {
			why = append(why, fmt.Errorf("%s: nothing matches %s", suite, name))
			continue
		}
		return Package{cache: c, Suite: suite, Name: slices.MaxFunc(names, compareNatural)}, nil
	}
	return Package{}, fmt.Errorf("%w: %w", ErrUnavailable, errors.Join(why...))
}

// names lists a suite's packages.
func (c *Cache) names(ctx context.Context, suite string) ([]string, error) {
	if err := c.update(ctx, suite); err != nil {
		return nil, err
	}
	out, err := c.apt(ctx, suite, "apt-cache", "pkgnames")
	return strings.Fields(string(out)), err
}

// update brings a suite's list, if the one at hand is old.
func (c *Cache) update(ctx context.Context, suite string) error {
	stamp := filepath.Join(c.state(suite), "updated")
	if fi, err := os.Stat(stamp); err == nil && time.Since(fi.ModTime()) < listAge {
		return nil
	}
	base := c.sources.of(suite)
	if base == "" {
		return fmt.Errorf("no address for it in the apt sources")
	}
	for _, d := range []string{"lists/partial", "parts", "archives/partial"} {
		if err := os.MkdirAll(filepath.Join(c.state(suite), d), 0o755); err != nil {
			return err
		}
	}
	line := fmt.Sprintf("deb [signed-by=%s] %s %s main\n", keyring, base, suite)
	if err := os.WriteFile(filepath.Join(c.state(suite), "x.list"), []byte(line), 0o644); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 90*time.Second)
	defer cancel()
	if _, err := c.apt(ctx, suite, "apt-get", "update", "--error-on=any"); err != nil {
		return err
	}
	return os.WriteFile(stamp, nil, 0o644)
}

func (c *Cache) state(suite string) string { return filepath.Join(c.dir, "apt", suite) }

// apt runs an apt program on the suite's private state.
func (c *Cache) apt(ctx context.Context, suite, program string, args ...string) ([]byte, error) {
	d := c.state(suite)
	options := []string{
		"Dir::Etc::sourcelist=" + d + "/x.list", "Dir::Etc::sourceparts=" + d + "/parts",
		"Dir::State::Lists=" + d + "/lists", "Dir::Cache::archives=" + d + "/archives",
		"Dir::Cache::pkgcache=", "Dir::Cache::srcpkgcache=",
		"Acquire::Languages=none", "Acquire::Retries=2", "APT::Sandbox::User=root",
	}
	var full []string
	for _, o := range options {
		full = append(full, "-o", o)
	}
	cmd := exec.CommandContext(ctx, program, append(full, args...)...)
	cmd.Dir = filepath.Join(d, "archives")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	cmd.WaitDelay = 5 * time.Second
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w: %s", program, args[0], err, lastLines(stderr.String(), 3))
	}
	return out, nil
}

// lastLines returns the last n lines of s, on one line.
func lastLines(s string, n int) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "; ")
}
