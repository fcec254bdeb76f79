// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package tfork

import (
	"errors"

	"github.com/seed-cb702d51/tfork-go/pidfd"
)

// Report is what this host can do, as of now, for this process.
type Report struct {
	// Features are the kernel's, oldest kernel first.
	Features []Feature
	// Waiter says whether the strategy Waiter can be had: nil, or why not.
	Waiter error
	// Auto is the strategy that a Cmd with Strategy Auto would get, whether the
	// promise holds for it, and why it would be that one.
	Auto    Strategy
	Guarded bool
	Reason  string
}

// Feature is one thing that a kernel may offer.
type Feature struct {
	// Name is the feature in the words of its man page.
	Name string
	// Since is the first kernel that has it, for a person.
	Since string
	// Err is nil if it works here, [ErrNotSupported] if it conclusively does
	// not, and any other error if that could not be told.
	Err error
}

// State returns "works", "no" or "unknown".
func (f Feature) State() string {
	switch {
	case f.Err == nil:
		return "works"
	case errors.Is(f.Err, ErrNotSupported):
		return "no"
	}
	return "unknown"
}

// Probe tries everything that matters here and says what Auto would pick. It
// starts no process and changes nothing; sure answers are remembered, so only
// the first call costs something (under a millisecond). It looks at TFORK_STRATEGY and
// at SIGCHLD as [Cmd.Start] does, and has the error that a start would have.
//
// Called early in main it makes later starts independent of how many descriptors
// are left then: see [Auto].
func Probe() (Report, error) {
	r := Report{Waiter: waiterPossible()}
	for _, f := range pidfd.Features() {
		r.Features = append(r.Features, Feature{Name: f.Name, Since: f.Since, Err: f.Have()})
	}
	options, err := new(Cmd).options()
	if err != nil {
		return r, err
	}
	best := options[0]
	r.Auto, r.Guarded, r.Reason = best.strategy, best.guarded, best.reason
	return r, nil
}
