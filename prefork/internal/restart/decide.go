// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package restart

import (
	"fmt"
	"slices"
)

// The signals that mean a crash, by their Linux numbers: the same on every
// architecture that Go and this module support.
const (
	sigILL  = 4
	sigABRT = 6
	sigBUS  = 7
	sigFPE  = 8
	sigKILL = 9
	sigSEGV = 11
	sigSYS  = 31
)

// crashes are the signals after which a process is started again. SIGKILL is
// one of them because the kernel's OOM killer is the commonest sender.
var crashes = []int{sigABRT, sigBUS, sigFPE, sigILL, sigSYS, sigSEGV, sigKILL}

// Outcome is how a process ended.
type Outcome struct {
	// Start is why the process could not even be started, or nil.
	Start error
	// Lost says that the true status is not available.
	Lost bool
	// Signal ended the process, or 0.
	Signal int
	// Code is the exit code if neither of the above is set.
	Code int
	// OOM says that the kernel's OOM killer ended it.
	OOM bool
}

// String says how the process ended, in the words of a log.
func (o Outcome) String() string {
	switch {
	case o.Start != nil:
		return "start: " + o.Start.Error()
	case o.Lost:
		return "status not available"
	case o.OOM:
		return fmt.Sprintf("signal %d (out of memory)", o.Signal)
	case o.Signal != 0:
		return fmt.Sprintf("signal %d", o.Signal)
	}
	return fmt.Sprintf("exit status %d", o.Code)
}

// Decision is what follows from an [Outcome].
type Decision struct {
	// Restart says whether a successor is started.
	Restart bool
	// Fatal says that the exit code means "do not restart, this is hopeless".
	Fatal bool
	// Calm says that a warning will do: nothing went wrong.
	Calm bool
}

// Decide is the restart decision of Samba's prefork model (spec §3.8): exit 0
// and signals that people send end a process for good, everything else brings
// a successor. fatal lists exit codes that also end it for good; the reference
// has none.
func Decide(o Outcome, fatal []int) Decision {
	switch {
	case o.Start != nil || o.Lost || o.OOM:
		return Decision{Restart: true}
	case o.Signal != 0:
		return Decision{Restart: slices.Contains(crashes, o.Signal)}
	case o.Code == 0:
		return Decision{Calm: true}
	case slices.Contains(fatal, o.Code):
		return Decision{Fatal: true}
	}
	return Decision{Restart: true}
}
