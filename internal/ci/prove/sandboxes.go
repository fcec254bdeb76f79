// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/seed-cb702d51/tfork-go/internal/ci/plan"
	"github.com/seed-cb702d51/tfork-go/internal/ci/suite"
	"github.com/seed-cb702d51/tfork-go/internal/ci/tether"
	"github.com/seed-cb702d51/tfork-go/internal/sandbox"
)

// bare is the place without any profile: this kernel as it is. The go command
// tests it as root already; here the ordinary user is the point.
const bare = "bare"

// sandboxes runs the suites under each seccomp profile.
func (j *job) sandboxes(ctx context.Context) ([]suite.Place, error) {
	var visits []visit
	// Each place is a runner of its own: a filter stays for good.
	for _, name := range append([]string{bare}, profileNames()...) {
		visits = append(visits, visit{name, func(ctx context.Context, at *suite.Place) error {
			o := suite.Options{Dir: j.stage.Dir, Users: usersHere(), Short: j.short, Run: j.run, Timeout: runTimeout}
			if name != bare {
				o.Profiles, o.Sandbox = []string{name}, true
			}
			return j.underRunner(ctx, at, o, func(runner, plan string) *exec.Cmd {
				return exec.CommandContext(ctx, runner, plan)
			})
		}})
	}
	return j.tour(ctx, visits), nil
}

// profileNames are the names of all seccomp profiles.
func profileNames() (names []string) {
	for _, p := range sandbox.Profiles() {
		names = append(names, p.Name)
	}
	return names
}

// usersHere are both users for root, and the only one there is for others.
func usersHere() []string {
	if os.Geteuid() == 0 {
		return []string{plan.Root, plan.User}
	}
	return []string{plan.Self}
}

// underRunner writes the plan, starts the runner as command says, and collects
// what it reports on its standard output.
func (j *job) underRunner(ctx context.Context, at *suite.Place, o suite.Options, command func(runner, plan string) *exec.Cmd) error {
	runtime.LockOSThread() // what we start is tied to this thread's life
	defer runtime.UnlockOSThread()
	runs := j.stage.Runs(o)
	path := filepath.Join(j.stage.Dir, "plan-"+at.Name+".json")
	if err := writePlan(path, plan.Plan{Settle: settle, Runs: runs}); err != nil {
		return err
	}
	// Its standard output is the report; what is wrong with the runner itself
	// is on its standard error.
	results, done, err := j.collect(at.Name, runs)
	if err != nil {
		return err
	}
	defer done()
	cmd := command(j.runner, path)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	cmd.WaitDelay = 10 * time.Second
	tether.Tether(cmd)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	plan.Lines(out, results.Line)
	io.Copy(io.Discard, out)
	err = cmd.Wait()
	if err := j.take(at, results); err != nil {
		return err
	}
	if !results.Finished {
		return fmt.Errorf("the runner ended early %s: %w: %s", results.Where(), errors.Join(err, errors.New(results.Trouble)), lastLines(stderr.String(), 20))
	}
	return nil
}
