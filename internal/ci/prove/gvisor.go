// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/seed-cb702d51/tfork-go/internal/ci/debian"
	"github.com/seed-cb702d51/tfork-go/internal/ci/suite"
)

// runscs are the versions of gVisor, named after their year, with the platform
// that works everywhere and the suites that have them. They fail differently:
// the old one ignores CLONE_PIDFD, the new one answers EINVAL to it.
var runscs = []struct {
	name, platform string
	suites         []string
}{
	{"gvisor-2022", "ptrace", []string{"bookworm"}},
	{"gvisor-2024", "systrap", []string{"bookworm-backports", "trixie"}},
}

// gvisor runs the suites in both versions that Debian has.
func (j *job) gvisor(ctx context.Context) ([]suite.Place, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("gVisor's runsc needs root here")
	}
	cache, err := debian.Open(j.cacheDir)
	if err != nil {
		return nil, err
	}
	var visits []visit
	for _, v := range runscs {
		runsc, err := fetchRunsc(ctx, cache, v.suites)
		visits = append(visits, visit{v.name, func(ctx context.Context, at *suite.Place) error {
			if err != nil {
				return err
			}
			return j.inGVisor(ctx, at, []string{
				runsc, "--platform=" + v.platform, "--network=none", "--root=" + filepath.Join(j.stage.Dir, "runsc-"+at.Name),
			})
		}})
	}
	return j.tour(ctx, visits), nil
}

// fetchRunsc brings the one program that gVisor is.
func fetchRunsc(ctx context.Context, cache *debian.Cache, suites []string) (string, error) {
	pkg, err := cache.Newest(ctx, suites, regexp.MustCompile(`^runsc$`))
	if err != nil {
		return "", err
	}
	dir, err := pkg.Unpack(ctx)
	return filepath.Join(dir, "usr/bin/runsc"), err
}

// gvisorTimeout is enough for the longest suite several times.
const gvisorTimeout = 6 * time.Minute

// inGVisor runs the suites in a sandbox that sees this machine's files. A
// machine on which nothing starts in it is no fault of the suites.
func (j *job) inGVisor(ctx context.Context, at *suite.Place, runsc []string) error {
	do := func(argv ...string) *exec.Cmd {
		args := append(append([]string{}, runsc[1:]...), "do")
		return exec.CommandContext(ctx, runsc[0], append(args, argv...)...)
	}
	if out, err := do("/bin/true").CombinedOutput(); err != nil {
		return fmt.Errorf("%w: runsc does not work here: %w: %s", debian.ErrUnavailable, err, lastLines(strings.TrimSpace(string(out)), 3))
	}
	o := suite.Options{
		Dir: j.stage.Dir, Users: usersHere(), Short: j.short, Run: j.run, Timeout: gvisorTimeout,
		Slow: 4, Sandbox: true,
	}
	return j.underRunner(ctx, at, o, func(runner, plan string) *exec.Cmd { return do(runner, plan) })
}
