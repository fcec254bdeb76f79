// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-cb702d51/tfork-go/cmd/tforkdemo/internal/batch"
	"github.com/seed-cb702d51/tfork-go/cmd/tforkdemo/internal/report"
	"github.com/seed-cb702d51/tfork-go/tfork"
)

const runExample = `  tforkdemo run -- make -j4
  tforkdemo run -v --strategy waiter -- sleep 1
  tforkdemo run -n 200 -p 8 -- sh -c 'exit $(($$ % 3))'
  tforkdemo run --memory-max 64MiB --pids-max 32 --cpus 0.5 -- make test
  tforkdemo run --jobs jobs.txt -p 4 --json | jq 'select(.result != "ok")'
  printf '%s\n' 'gzip -k a' 'gzip -k "b c"' | tforkdemo run --jobs -`

// runOptions are the flags of run.
type runOptions struct {
	// What to run, beside the arguments: copies 0 and no jobs is a single run.
	copies int
	jobs   string // a file, "-" for standard input
	// How each command is run.
	strategy  strategyFlag
	dedicated bool
	dir       string
	limits    limitFlags
	// How a batch is run, and ended.
	parallel int
	grace    time.Duration
	// What is told about it.
	json    bool
	verbose bool
}

// runCommand is "tforkdemo run".
func (a *app) runCommand() *cobra.Command {
	var o runOptions
	cmd := &cobra.Command{
		Use:     "run [flags] -- CMD [ARGS...]",
		Short:   "Run a command, or many at a time",
		Long:    help("run"),
		Example: runExample,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.check(cmd, args); err != nil {
				return err
			}
			if o.isBatch() {
				return a.runMany(&o, args)
			}
			return exitWith(a.runOne(&o, args))
		},
	}
	f := cmd.Flags()
	f.SetInterspersed(false) // the command's flags are not ours
	f.IntVarP(&o.copies, "copies", "n", 0, "run `N` copies of the command")
	f.IntVarP(&o.parallel, "parallel", "p", runtime.NumCPU(), "run `P` at a time")
	f.StringVar(&o.jobs, "jobs", "", "run the command lines in `FILE`; - is standard input")
	f.BoolVar(&o.json, "json", false, "report as JSON lines on standard output")
	f.Var(&o.strategy, "strategy", "how to start: auto, direct or waiter")
	f.BoolVar(&o.dedicated, "dedicated", false, "a waiter of its own for each command")
	f.StringVar(&o.dir, "dir", "", "run in `DIRECTORY`")
	f.DurationVar(&o.grace, "grace", 5*time.Second, "time between SIGTERM and SIGKILL when a batch is stopped")
	o.limits.register(f)
	f.BoolVarP(&o.verbose, "verbose", "v", false, "show the processes that are made")
	cmd.RegisterFlagCompletionFunc("strategy", completeStrategy) // fails for an unknown flag only
	cmd.MarkFlagDirname("dir")
	return cmd
}

// isBatch tells whether there is a report. Without, tforkdemo is transparent.
func (o *runOptions) isBatch() bool { return o.copies > 0 || o.jobs != "" || o.json }

// check finds wrong usage: contradictions, and values without a meaning, before
// anything is opened or started.
func (o *runOptions) check(cmd *cobra.Command, args []string) error {
	changed := cmd.Flags().Changed
	switch {
	case changed("copies") && o.copies < 1:
		return fmt.Errorf("-n is %d: it must be at least 1", o.copies)
	case o.parallel < 1:
		return fmt.Errorf("-p is %d: it must be at least 1", o.parallel)
	case o.grace < 0:
		return fmt.Errorf("--grace is %v: it must not be negative", o.grace)
	case o.dedicated && tfork.Strategy(o.strategy) == tfork.Direct:
		return errors.New("--dedicated needs a waiter, and --strategy direct has none")
	case changed("jobs") && o.jobs == "":
		return errors.New("--jobs needs a file name, or - for standard input")
	case o.jobs != "" && len(args) > 0:
		return fmt.Errorf("--jobs brings the commands along, so %q is one too many", args[0])
	case o.jobs != "" && o.copies > 0:
		return errors.New("-n and --jobs exclude each other")
	case o.jobs == "" && len(args) == 0:
		return errors.New("no command: write it after --")
	case o.jobs == "" && args[0] == "":
		return errors.New("the command is empty")
	}
	return o.limits.check(cmd.Flags())
}

// command makes the Cmd for args; its streams are not set. A program that is not
// found is its Err, as with os/exec.
func (o *runOptions) command(args []string) *tfork.Cmd {
	cmd := tfork.Command(args[0], args[1:]...)
	cmd.Dir = o.dir
	cmd.Strategy = tfork.Strategy(o.strategy)
	cmd.Dedicated = o.dedicated
	return cmd
}

// strategyFlag is a tfork.Strategy as a flag; its methods are those of
// pflag.Value. An unknown name is refused with the list of the valid ones.
type strategyFlag tfork.Strategy

func (s *strategyFlag) String() string { return tfork.Strategy(*s).String() }

func (s *strategyFlag) Set(name string) error {
	parsed, err := tfork.ParseStrategy(name)
	*s = strategyFlag(parsed)
	return err
}

func (s *strategyFlag) Type() string { return "STRATEGY" }

// completeStrategy is for the shell's completion.
func completeStrategy(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	var names []string
	for _, s := range []tfork.Strategy{tfork.Auto, tfork.Direct, tfork.Waiter} {
		names = append(names, s.String())
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// runOne runs a single command, which gets everything that tforkdemo has.
func (a *app) runOne(o *runOptions, args []string) int {
	signals := catch(relayed)
	defer signals.stop()
	cmd := o.command(args)
	// Files are handed on as they are: the command has them, not a copy.
	cmd.Stdin, cmd.Stdout, cmd.Stderr = a.stdin, a.stdout, a.stderr
	begin := time.Now()
	group, err := o.limits.open()
	if err != nil {
		a.printf("%s", explain(err))
		return exitNotStarted
	}
	defer group.close()
	wait, err := batch.Start(cmd, group.options())
	if err != nil {
		a.printf("%s", explain(err))
		return startCode(err)
	}
	p := cmd.Process
	if o.verbose {
		a.printTree(p)
	}
	go signals.relay(p)
	// The status first: what wait says of it is less, and what it adds is about
	// streams and cgroups.
	st, err := p.Status(true)
	if waitErr := wait(); waitErr != nil && err == nil && waitErr.Error() != st.String() {
		a.printf("%v", waitErr)
	}
	if err != nil {
		a.printf("%s (pid %d): %v", args[0], p.Pid, err)
		return exitLost
	}
	if o.verbose {
		a.printf("worker %d: %v after %s, collected by %v", p.Pid, st, report.Duration(time.Since(begin)), st.Source())
	}
	a.printUse(o, p, st)
	return codeOf(st.WaitStatus())
}
