// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/spf13/cobra"

	"github.com/seed-cb702d51/tfork-go/cmd/tforkdemo/internal/report"
	"github.com/seed-cb702d51/tfork-go/prefork"
)

// psCommand is "tforkdemo ps".
func (a *app) psCommand() *cobra.Command {
	var dir string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "ps",
		Short: "Show the processes of a prefork server",
		Long:  help("ps"),
		Example: `  tforkdemo ps
  tforkdemo ps --runtime-dir /run/demo
  tforkdemo ps --json | jq -r '.[] | select(.role == "worker") | .pid'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cmd.Flags().Changed("runtime-dir") && dir == "" {
				return errors.New("--runtime-dir is empty: name a directory")
			}
			return exitWith(a.ps(dir, asJSON))
		},
	}
	cmd.Flags().StringVar(&dir, "runtime-dir", "", "`DIR`ectory of the server (default the only one that is found)")
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON array on standard output")
	cmd.MarkFlagDirname("runtime-dir")
	return cmd
}

// ps prints the table, and returns the exit code.
func (a *app) ps(dir string, asJSON bool) int {
	processes, err := processesOf(dir)
	if err != nil {
		a.printf("%v", err)
		return exitFailed
	}
	if asJSON {
		err = json.NewEncoder(a.stdout).Encode(processes)
	} else {
		_, err = fmt.Fprintln(a.stdout, processTable(processes))
	}
	if err != nil {
		a.printf("%v", err)
		return exitFailed
	}
	if slices.ContainsFunc(processes, func(p prefork.Process) bool { return p.State == prefork.StateSilent }) {
		return exitFailed
	}
	return exitOK
}

// processesOf asks the server at dir, or the only one there is.
func processesOf(dir string) ([]prefork.Process, error) {
	if dir == "" {
		var err error
		if dir, err = findRuntimeDir(); err != nil {
			return nil, err
		}
	}
	processes, err := prefork.Processes(dir)
	if err == nil && len(processes) == 0 {
		err = fmt.Errorf("no server lives in %s", dir)
	}
	return processes, err
}

// processTable has one row for each name.
func processTable(processes []prefork.Process) string {
	t := report.NewTable("process", "pid", "state", "strategy", "up", "requests", "memory")
	var right []table.ColumnConfig
	for _, name := range []string{"pid", "up", "requests", "memory"} {
		right = append(right, table.ColumnConfig{Name: name, Align: text.AlignRight, AlignHeader: text.AlignRight})
	}
	t.SetColumnConfigs(right)
	for _, p := range processes {
		if p.Started.IsZero() { // it says nothing, or has not even begun
			t.AppendRow(table.Row{p.Name, p.Pid, p.State})
			continue
		}
		up := time.Since(p.Started).Truncate(time.Second)
		t.AppendRow(table.Row{p.Name, p.Pid, p.State, p.Strategy, up, p.Requests, report.Bytes(p.Memory)})
	}
	return t.Render()
}
