// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/seed-cb702d51/tfork-go/internal/ci/suite"
)

// main turns the outcome into an exit code; prove does the rest.
func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ok, err := prove(ctx, os.Args[1:], os.Stdout)
	switch {
	case errors.Is(err, flag.ErrHelp):
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, "prove:", err)
		os.Exit(1)
	case !ok:
		os.Exit(1)
	}
}

// job is what the arguments ask for, and what is made for it.
type job struct {
	kind     string
	nature   suite.Nature
	short    bool
	json     string         // where the report goes, too
	place    *regexp.Regexp // of kernels, profiles, versions
	packages string
	run      string

	out        io.Writer
	stage      *suite.Stage
	runner     string // path of the built runner
	cacheDir   string // outlives the job
	documented suite.Documented
}

// The packages that are tested, and those of the short form on kernels: what
// the others stand on.
const (
	everything = "./..."
	nearest    = "./pidfd ./waiter ./tfork ./cgroup"
)

// kinds are the jobs, what each calls its places, and of which nature they are.
var kinds = map[string]struct {
	do     func(*job, context.Context) ([]suite.Place, error)
	place  string
	nature suite.Nature
}{
	"kernels":   {(*job).kernels, "kernel", suite.Real},
	"sandboxes": {(*job).sandboxes, "profile", suite.Filtered},
	"gvisor":    {(*job).gvisor, "version", suite.Emulated},
}

// prove does the job that args name, and reports on out whether all is well.
func prove(ctx context.Context, args []string, out io.Writer) (ok bool, err error) {
	j, err := parse(args, out)
	if err != nil {
		return false, err
	}
	began := time.Now()
	// Where everything is built; other users must be able to look into it.
	dir, err := os.MkdirTemp("", "prove-")
	if err != nil {
		return false, err
	}
	defer os.RemoveAll(dir)
	if err := j.build(ctx, dir); err != nil {
		return false, err
	}
	j.say("%d suites built in %v", len(j.stage.Suites), time.Since(began).Round(time.Second))
	places, err := kinds[j.kind].do(j, ctx)
	if err != nil {
		return false, err
	}
	report := suite.Report{Places: places, Took: time.Since(began)}
	fmt.Fprintln(out)
	report.Write(out)
	if j.json != "" {
		if err := report.WriteJSON(j.json); err != nil {
			return false, err
		}
	}
	fmt.Fprintf(out, "\n%s: %s\n", j.kind, report.Summary())
	return report.OK(), ctx.Err()
}

// parse reads the arguments, and goes to the module's root if they say where
// that is.
func parse(args []string, out io.Writer) (*job, error) {
	j := &job{out: out}
	root := "."
	if len(args) > 1 && args[0] == "-C" {
		root, args = args[1], args[2:]
	}
	if len(args) == 0 || kinds[args[0]].do == nil {
		return nil, errors.New("usage: prove [-C ROOT] kernels|sandboxes|gvisor [FLAGS]")
	}
	j.kind, j.nature = args[0], kinds[args[0]].nature
	fs := flag.NewFlagSet("prove "+j.kind, flag.ContinueOnError)
	fs.BoolVar(&j.short, "short", false, "run the short form: test binaries with -test.short; two kernels, as root, the packages nearest to the kernel")
	fs.StringVar(&j.json, "json", "", "also write the report to this `file`")
	place := fs.String(kinds[j.kind].place, "", "only those whose name matches this `regexp`")
	fs.StringVar(&j.packages, "package", everything, "only packages that match these `patterns` of the go command, with spaces between")
	fs.StringVar(&j.run, "run", "", "only tests that match this `regexp`")
	if err := fs.Parse(args[1:]); err != nil {
		return nil, err
	}
	if j.short && j.kind == "kernels" && j.packages == everything {
		j.packages = nearest
	}
	if fs.NArg() > 0 {
		return nil, fmt.Errorf("unexpected argument %q", fs.Arg(0))
	}
	return j, j.settle(root, *place)
}

// settle makes the paths absolute and goes to the module's root.
func (j *job) settle(root, place string) (err error) {
	if j.place, err = regexp.Compile(place); err != nil {
		return err
	}
	if j.json != "" {
		if j.json, err = filepath.Abs(j.json); err != nil {
			return err
		}
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return err
	}
	j.cacheDir = filepath.Join(cache, "tfork-kernels")
	return os.Chdir(root)
}

// build makes the stage, the runner and the program that asks the probes.
func (j *job) build(ctx context.Context, dir string) (err error) {
	if j.stage, err = suite.NewStage(ctx, dir, strings.Fields(j.packages)...); err != nil {
		return err
	}
	if j.documented, err = suite.ReadDocumented(); err != nil {
		return err
	}
	if _, err = j.stage.Tool(ctx, "internal/ci/probes"); err != nil {
		return err
	}
	j.runner, err = j.stage.Tool(ctx, "internal/ci/runner")
	return err
}

// say prints progress.
func (j *job) say(format string, args ...any) {
	fmt.Fprintf(j.out, "prove: "+format+"\n", args...)
}
