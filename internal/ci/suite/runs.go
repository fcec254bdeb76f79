// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package suite

import (
	"path"
	"strconv"
	"time"

	"github.com/seed-cb702d51/tfork-go/internal/ci/plan"
)

// Options choose the runs of a plan.
type Options struct {
	// Dir is where the runner sees the stage.
	Dir string
	// Users and Profiles are combined with each other; no profile counts as one
	// empty value. Strategies are no dimension: the tests that they matter to
	// name them.
	Users, Profiles []string
	// Slow is by how much this machine is slower than a developer's: deadlines
	// are multiplied by it (TFORK_TEST_SLOW).
	Slow int
	// Sandbox says that features may be missing although the kernel's version
	// promises them (TFORK_TEST_ALLOW_MISSING).
	Sandbox bool
	// Short and Run are the test binary's flags of these names.
	Short bool
	Run   string
	// Timeout is for each run.
	Timeout time.Duration
}

// Runs lists what a runner has to do, numbered from 0: the probes first, then
// every suite.
func (s *Stage) Runs(o Options) []plan.Run {
	var runs []plan.Run
	profiles := o.Profiles
	if len(profiles) == 0 {
		profiles = []string{""}
	}
	// The probes come first: what they say explains what the suites skip.
	for _, pkg := range append([]string{plan.Probes}, s.Suites...) {
		for _, profile := range profiles {
			for _, user := range o.Users {
				runs = append(runs, o.complete(plan.Run{
					ID: len(runs), Suite: pkg, User: user, Profile: profile, Timeout: o.Timeout,
				}))
			}
		}
	}
	return runs
}

// complete fills in what to start, and with which environment.
func (o Options) complete(r plan.Run) plan.Run {
	r.Env = []string{"PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"}
	if r.Suite == plan.Probes {
		r.Dir, r.Argv = o.Dir, []string{path.Join(o.Dir, plan.Probes)}
		return r
	}
	r.Dir = path.Join(o.Dir, r.Suite)
	r.Argv = []string{
		path.Join(r.Dir, Binary), "-test.v=test2json", "-test.paniconexit0",
		// Its own timeout prints every goroutine; ours only kills.
		"-test.timeout=" + (o.Timeout - o.Timeout/10).String(),
	}
	if o.Short {
		r.Argv = append(r.Argv, "-test.short")
	}
	if o.Run != "" {
		r.Argv = append(r.Argv, "-test.run="+o.Run)
	}
	if o.Slow > 1 {
		r.Env = append(r.Env, "TFORK_TEST_SLOW="+strconv.Itoa(o.Slow))
		// By default as many at once as there are processors, here one: but tests
		// that may run beside others are those that wait.
		r.Argv = append(r.Argv, "-test.parallel=8")
	}
	if o.Sandbox {
		r.Env = append(r.Env, "TFORK_TEST_ALLOW_MISSING=1")
	}
	return r
}
