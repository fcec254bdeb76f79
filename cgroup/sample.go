// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package cgroup

import (
	"time"

	"github.com/seed-cb702d51/tfork-go/internal/cgroupfs"
)

// Sample is what the kernel has counted in a group up to one moment. Two of
// them, before a worker's start and after its end, are the evidence of what it
// died of. tfork takes them by itself for a worker with tfork.Cmd.Cgroup.
type Sample struct {
	// OOMKills counts the processes of this very group (not of those below it)
	// that the OOM killer has killed, for whatever limit: the group's, one
	// above it, or the whole machine's. With [Limits.OOMGroup] the kernel counts
	// the first victim twice.
	// memory.events.local, Linux 5.2; before, memory.events.
	OOMKills uint64
	// PeakMemory is the highest memory use of the group and those below, in
	// bytes. memory.peak, Linux 5.19.
	PeakMemory uint64
	// CPUTime, UserTime and SystemTime are those of the group and those below,
	// ended processes included. cpu.stat, Linux 4.15.
	CPUTime, UserTime, SystemTime time.Duration

	// HasOOM, HasPeak and HasCPU tell which of the numbers exist here: the
	// first two need the memory controller in the group.
	HasOOM, HasPeak, HasCPU bool
}

// OOMKilled tells whether the OOM killer ended a worker: sigkill says that it
// ended by SIGKILL, and s was taken after its end and before its group was
// removed. The kernel counts before it kills, so s is never too early.
//
// It is exact for a worker that has the group to itself. Where others share
// it, or where the OOM killer took one of its own descendants and somebody
// else then killed the worker, it is what is likely: [Limits.OOMGroup] removes
// the second doubt.
func (s Sample) OOMKilled(before Sample, sigkill bool) bool {
	return cgroupfs.Counters(s).OOMKilled(cgroupfs.Counters(before), sigkill)
}

// Sample reads the counters. It does not block. [ErrRemoved]: too late.
func (g *Group) Sample() (Sample, error) { return g.sample() }

// Stat is the use of a group and those below it at one moment.
type Stat struct {
	// Controllers are those that are on in the group. Without its controller a
	// number is 0.
	Controllers []string

	// CPUTime, UserTime and SystemTime need no controller; Throttled, the time
	// spent waiting for a CPU limit, needs cpu.
	CPUTime, UserTime, SystemTime, Throttled time.Duration
	// Memory is the use now, MemoryPeak the highest ever (Linux 5.19), Swap
	// what is swapped out.
	Memory, MemoryPeak, Swap Bytes
	// Pids is the number of processes and threads.
	Pids uint64
	// OOMKills and OOMGroupKills count processes, and groups that were killed
	// as a whole (Linux 5.17).
	OOMKills, OOMGroupKills uint64
	// CPUPressure, MemoryPressure and IOPressure tell how much time was lost
	// waiting; nil where the kernel does not say (PSI is off).
	CPUPressure, MemoryPressure, IOPressure *Pressure
}

// Pressure is time lost because something was short (PSI, Linux 4.20).
type Pressure struct {
	// Some: at least one task was waiting. Full: all were.
	Some, Full Stall
}

// Stall is one line of a pressure file.
type Stall struct {
	// Avg10, Avg60 and Avg300 are percent of the last 10, 60, 300 seconds.
	Avg10, Avg60, Avg300 float64
	// Total is the time since the group was made.
	Total time.Duration
}

// Stat reads the use of the group. It does not block. [ErrRemoved] if the group
// is gone.
func (g *Group) Stat() (Stat, error) { return g.stat() }
