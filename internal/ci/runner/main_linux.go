// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"github.com/seed-cb702d51/tfork-go/internal/ci/plan"
	"github.com/seed-cb702d51/tfork-go/internal/sandbox"
)

// realMain plays the part that the arguments ask for.
func realMain(args []string) error {
	switch {
	case args[0] == "/init" && os.Getpid() == 1:
		return initMain()
	case len(args) > 3 && args[1] == "under":
		return sandbox.Exec(args[2], args[3:])
	case len(args) == 2:
		return execute(args[1], 0, os.Stdout)
	}
	return errors.New("usage: runner PLAN | runner under PROFILE PROGRAM [ARG...]")
}

// execute carries out the plan in a file, from run number first on.
func execute(path string, first int, w io.Writer) error {
	records := plan.NewWriter(w)
	err := executeTo(path, first, records)
	if ending.Load() {
		select {} // whoever set it exits
	}
	if err != nil {
		records.Send(plan.Record{Kind: plan.Fail, Text: err.Error()})
		return err
	}
	return records.Send(plan.Record{Kind: plan.Done})
}

func executeTo(path string, first int, records *plan.Writer) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var p plan.Plan
	if err := json.Unmarshal(b, &p); err != nil {
		return fmt.Errorf("plan %s: %w", path, err)
	}
	// Orphans of a run must come to us. PID 1 gets them anyway, and old gVisor,
	// where we are PID 1, does not know the call.
	if os.Getpid() != 1 {
		if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
			return os.NewSyscallError("prctl(PR_SET_CHILD_SUBREAPER)", err)
		}
	}
	endWithUs()
	var uts unix.Utsname
	if err := unix.Uname(&uts); err != nil {
		return os.NewSyscallError("uname", err)
	}
	if err := records.Send(plan.Record{Kind: plan.Boot, Text: unix.ByteSliceToString(uts.Release[:])}); err != nil {
		return err
	}
	for _, r := range p.Runs[min(first, len(p.Runs)):] {
		if err := (&process{run: r, plan: &p, records: records}).execute(); err != nil {
			return fmt.Errorf("run %d (%s): %w", r.ID, r.Suite, err)
		}
	}
	return nil
}
