// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/seed-cb702d51/tfork-go/internal/ci/plan"
	"github.com/seed-cb702d51/tfork-go/tfork"
)

func main() {
	tfork.Dispatch() // Auto takes a waiter only where one could be started
	if err := answers(os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "probes:", err)
		os.Exit(1)
	}
}

// answers prints what every probe says.
func answers(w io.Writer) error {
	report, err := tfork.Probe()
	if err != nil {
		return err
	}
	enc := json.NewEncoder(w)
	for _, f := range report.Features {
		a := plan.Answer{Probe: f.Name, Since: f.Since, State: f.State()}
		if f.Err != nil {
			a.Reason = f.Err.Error()
		}
		if err := enc.Encode(a); err != nil {
			return err
		}
	}
	state := report.Auto.String()
	if !report.Guarded {
		state += ", unguarded"
	}
	return enc.Encode(plan.Answer{Probe: plan.AutoPicks, State: state, Reason: report.Reason})
}
