// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package supervise

import (
	"github.com/seed-cb702d51/tfork-go/prefork/internal/restart"
)

// Inc names one process: one start of one slot. Numbers are never used twice.
type Inc uint64

// Event is what happened. The types below are all there are.
type Event any

// The events.
type (
	// Scale sets the number of slots; the first one starts the group.
	Scale struct{ Count int }
	// Exited says that a process is gone, or (Outcome.Start) never came.
	Exited struct {
		Inc     Inc
		Outcome restart.Outcome
	}
	// Ready says that a process is ready to serve.
	Ready struct{ Inc Inc }
	// Beat is a sign of life.
	Beat struct{ Inc Inc }
	// Recycle asks to replace one process by a fresh one, in its own good time.
	Recycle struct {
		Inc    Inc
		Reason string
	}
	// Reload replaces all processes by fresh ones, all together or not at all.
	Reload struct{}
	// Stop ends the group.
	Stop struct{ Reason string }
	// Tick says only that time has passed.
	Tick struct{}
)

// Action is what the owner of the machine must do now, in the order given.
type Action any

// The actions.
type (
	// Spawn starts a process. If that fails the owner says so with [Exited].
	Spawn struct {
		Slot int
		Inc  Inc
		// Replaces says that another process holds the slot until this one is
		// ready; Fresh that it belongs to a [Reload].
		Replaces, Fresh bool
	}
	// Promote says that a replacement now holds its slot.
	Promote struct {
		Slot int
		Inc  Inc
	}
	// TellStop asks a process to finish what it serves and to leave.
	TellStop struct {
		Inc    Inc
		Reason string
	}
	// Abort sends SIGABRT, for the stack of a hung process.
	Abort struct {
		Inc    Inc
		Reason string
	}
	// Kill ends a process and all it started, at once.
	Kill struct {
		Inc    Inc
		Reason string
	}
	// Gone says that nothing will refer to the process any more: prune its
	// name, end what it left behind, free its record.
	Gone struct{ Inc Inc }
	// Ended reports an end that nobody asked for, and what follows from it.
	Ended struct {
		Slot     int
		Inc      Inc
		Outcome  restart.Outcome
		Decision restart.Decision
		// Wait is the backoff before the successor, if there is one.
		Wait Duration
	}
	// Failed says that a slot is given up: its restarts exceeded the limit, or
	// it ended with a code that says so.
	Failed struct {
		Slot   int
		Reason string
	}
	// AllReady says that every slot's process is ready, those slots left out
	// that are down for good: how many is Down. It comes once after each change.
	AllReady struct{ Down int }
	// AllDown says that every slot ended for good while nobody asked for it.
	AllDown struct{}
	// RolledOut ends a [Reload], or a [Recycle], that worked.
	RolledOut struct{ Reload bool }
	// RolledBack ends one that did not: everything is as it was.
	RolledBack struct {
		Reload bool
		Reason string
	}
	// Stopping says, first of all that Stop leads to, that nothing will be started
	// any more: what is kept for that can be given up.
	Stopping struct{}
	// Finished says that the last process has gone after Stop.
	Finished struct{}
)
