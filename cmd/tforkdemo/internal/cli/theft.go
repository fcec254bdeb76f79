// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/spf13/cobra"

	"github.com/seed-cb702d51/tfork-go/cmd/tforkdemo/internal/report"
	"github.com/seed-cb702d51/tfork-go/cmd/tforkdemo/internal/theft"
	"github.com/seed-cb702d51/tfork-go/tfork"
)

// theftCommand is "tforkdemo theft".
func (a *app) theftCommand() *cobra.Command {
	n := 1000
	cmd := &cobra.Command{
		Use:   "theft [-n N]",
		Short: "Show how exit statuses get lost, and the cure, side by side",
		Long:  help("theft"),
		Example: `  tforkdemo theft
  tforkdemo theft -n 100`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if n < 1 {
				return fmt.Errorf("-n is %d: it must be at least 1", n)
			}
			return a.runTheft(n)
		},
	}
	cmd.Flags().IntVarP(&n, "children", "n", n, "run `N` children in each way")
	return cmd
}

// runTheft runs the whole experiment: all children in every way in each of the
// surroundings. Tables come as they are ready.
func (a *app) runTheft(n int) error {
	surroundings, err := theft.All()
	if err != nil {
		return err
	}
	starters := []theft.Starter{theft.OSExec(), theft.Tfork(tfork.Direct)}
	probe, err := tfork.Probe()
	if err != nil {
		return err
	}
	if probe.Waiter == nil {
		starters = append(starters, theft.Tfork(tfork.Waiter))
	}
	fmt.Fprintf(a.stdout, "%d children with known endings (exit status 0 to 255, signals), run by one Go process.\n", n)
	children := theft.Children(n)
	var v verdict
	for _, s := range surroundings {
		scores := play(s, starters, children)
		fmt.Fprintf(a.stdout, "\nWhile %s:\n%s\n", s.Name, theftTable(scores))
		v.add(scores)
	}
	if probe.Waiter != nil {
		fmt.Fprintf(a.stdout, "\nThere is no strategy waiter here: %v\n", probe.Waiter)
	}
	fmt.Fprintf(a.stdout, "\n%s\n", v.text())
	return exitWith(v.code())
}

// play runs the children in every way, in one of the surroundings.
func play(s theft.Surroundings, starters []theft.Starter, children []theft.Child) []theft.Score {
	// What is taken is taken from this very process, as it would be elsewhere.
	leave := s.Enter()
	defer leave()
	// The thief must not be left with a waiter that lives on.
	defer tfork.CloseIdle()
	var scores []theft.Score
	for _, starter := range starters {
		scores = append(scores, starter.Play(children, s))
	}
	return scores
}

// theftTable shows what each way told about its children. Who took statuses is
// known of the goroutine only: the kernel keeps no count.
func theftTable(scores []theft.Score) string {
	thief := scores[0].Taken >= 0
	header := []any{"started through", "true", "lost", "wrong", "time"}
	if thief {
		header = append(header, "taken by that goroutine")
	}
	t := report.NewTable(header...)
	var right []table.ColumnConfig
	for column := 2; column <= len(header); column++ {
		right = append(right, table.ColumnConfig{Number: column, Align: text.AlignRight, AlignHeader: text.AlignRight})
	}
	t.SetColumnConfigs(right)
	for _, s := range scores {
		name := s.Name
		if s.Unguarded {
			name += " (unguarded)"
		}
		row := table.Row{name, s.True, s.Lost, s.Wrong, report.Duration(s.Took)}
		if thief {
			row = append(row, s.Taken)
		}
		t.AppendRow(row)
	}
	return t.Render()
}

// verdict adds up the scores: of os/exec, which is the first in each table, and
// of tfork where it makes its promise and where it does not.
type verdict struct{ stdlib, guarded, unguarded theft.Score }

func (v *verdict) add(scores []theft.Score) {
	v.stdlib.Add(scores[0])
	for _, s := range scores[1:] {
		if s.Unguarded {
			v.unguarded.Add(s)
		} else {
			v.guarded.Add(s)
		}
	}
}

// kept tells whether the promise held.
func (v *verdict) kept() bool {
	g := &v.guarded
	return g.Children() > 0 && g.Lost+g.Wrong+g.NotStarted+v.unguarded.NotStarted == 0
}

// code is the exit code of the experiment.
func (v *verdict) code() int {
	if v.kept() {
		return exitOK
	}
	return exitFailed
}

// text says in words what the numbers mean.
func (v *verdict) text() string {
	var lines []string
	say := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	if bad := v.stdlib.Lost + v.stdlib.Wrong; bad > 0 {
		say("os/exec lost %d of %d statuses: %q.", bad, v.stdlib.Children(), v.stdlib.Err)
	} else {
		say("os/exec lost none this time: try more children with -n.")
	}
	for _, s := range []theft.Score{v.stdlib, v.guarded, v.unguarded} {
		if s.NotStarted > 0 {
			say("%d children were not started: %s.", s.NotStarted, explain(s.Err))
		}
	}
	if g := v.guarded; g.Children() > 0 {
		say("tfork lost %s of %d and falsified %s.", none(g.Lost), g.Children(), none(g.Wrong))
	}
	if u := v.unguarded; u.Children() > 0 {
		say("Unguarded, tfork lost %s of %d and falsified %s: this kernel keeps no exit status, see tforkdemo probe.",
			none(u.Lost), u.Children(), none(u.Wrong))
	}
	return strings.Join(lines, "\n")
}

// none writes a number that is good when it is 0.
func none(n int) string {
	if n == 0 {
		return "none"
	}
	return strconv.Itoa(n)
}
