// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"runtime"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/spf13/cobra"

	"github.com/seed-cb702d51/tfork-go/cgroup"
	"github.com/seed-cb702d51/tfork-go/cmd/tforkdemo/internal/report"
	"github.com/seed-cb702d51/tfork-go/tfork"
)

// probeCommand is "tforkdemo probe".
func (a *app) probeCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "probe",
		Short:   "Show what this system can do, and what tfork would take",
		Long:    help("probe"),
		Example: "  tforkdemo probe\n  tforkdemo probe --json | jq .auto",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return a.probe(asJSON)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON object on standard output")
	return cmd
}

// probe asks once and writes the answer in one of two forms.
func (a *app) probe(asJSON bool) error {
	r, err := tfork.Probe()
	write := a.writeProbe
	if asJSON {
		write = a.writeProbeJSON
	}
	if err := write(r, err); err != nil {
		return err
	}
	if err != nil || !r.Guarded {
		return exitWith(exitFailed)
	}
	return nil
}

// writeProbe writes the report for a person. err is why there is no Auto.
func (a *app) writeProbe(r tfork.Report, err error) error {
	t := report.NewTable("feature", "since", "here", "why")
	for _, f := range r.Features {
		t.AppendRow(table.Row{f.Name, f.Since, f.State(), text.WrapSoft(why(f), maxWhy)})
	}
	waiter := "can be had"
	if r.Waiter != nil {
		waiter = "cannot be had: " + r.Waiter.Error()
	}
	auto := fmt.Sprintf("%v, because %s", r.Auto, r.Reason)
	promise := "an exit status cannot be lost here"
	switch {
	case err != nil:
		auto, promise = err.Error(), "unknown"
	case !r.Guarded:
		promise = "an exit status can be lost here"
	}
	_, err = fmt.Fprintf(a.stdout, "%s, %s/%s\n%s\nstrategy waiter: %s\nstrategy auto:   %s\npromise:         %s\n\n%s\n",
		kernel(), runtime.GOOS, runtime.GOARCH, t.Render(), waiter, auto, promise, cgroupTable(cgroup.Probe()))
	return err
}

// featureJSON is one line of the table.
type featureJSON struct {
	Name   string `json:"name"`
	Since  string `json:"since"`
	State  string `json:"state"` // works, no, unknown
	Reason string `json:"reason,omitempty"`
}

// probeJSON is the whole report.
type probeJSON struct {
	Kernel   string        `json:"kernel"` // for orientation
	System   string        `json:"system"` // linux/amd64
	Features []featureJSON `json:"features"`
	// Waiter says whether that strategy can be had, or why not.
	Waiter struct {
		Possible bool   `json:"possible"`
		Reason   string `json:"reason,omitempty"`
	} `json:"waiter"`
	// Auto is what a Cmd without a wish gets. Error stands alone: there is no
	// answer then.
	Auto struct {
		Strategy string `json:"strategy,omitempty"`
		Guarded  bool   `json:"guarded"`
		Reason   string `json:"reason,omitempty"`
		Error    string `json:"error,omitempty"`
	} `json:"auto"`
	Cgroup cgroupJSON `json:"cgroup"`
}

// writeProbeJSON writes the report for a program.
func (a *app) writeProbeJSON(r tfork.Report, err error) error {
	out := probeJSON{Kernel: kernel(), System: runtime.GOOS + "/" + runtime.GOARCH}
	for _, f := range r.Features {
		out.Features = append(out.Features, featureJSON{f.Name, f.Since, f.State(), why(f)})
	}
	out.Waiter.Possible, out.Waiter.Reason = r.Waiter == nil, reason(r.Waiter)
	if err != nil {
		out.Auto.Error = err.Error()
	} else {
		out.Auto.Strategy, out.Auto.Guarded, out.Auto.Reason = r.Auto.String(), r.Guarded, r.Reason
	}
	out.Cgroup = cgroupReport(cgroup.Probe())
	enc := json.NewEncoder(a.stdout)
	enc.SetIndent("", "  ")
	return enc.Encode(out)
}

// maxWhy keeps the table within a terminal's width.
const maxWhy = 60

// why is the system's answer where a feature is missing. The error's own text
// repeats the name and the version, which stand beside it.
func why(f tfork.Feature) string {
	if answer := errors.Unwrap(f.Err); f.State() == "no" && answer != nil {
		return answer.Error()
	}
	return reason(f.Err)
}

// reason is the text of an error that may be nil.
func reason(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
