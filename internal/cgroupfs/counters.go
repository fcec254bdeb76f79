// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package cgroupfs

import "time"

// Counters is what the kernel has counted in one cgroup up to now.
type Counters struct {
	// OOMKills is the number of processes of this very cgroup (not of those
	// below it) that the OOM killer has killed, for whatever limit: its own,
	// one above it, or the whole machine's.
	OOMKills uint64
	// PeakMemory is the highest memory use of the cgroup and those below, in
	// bytes. Linux 5.19.
	PeakMemory uint64
	// CPUTime, UserTime and SystemTime are those of the cgroup and those below.
	CPUTime, UserTime, SystemTime time.Duration

	// HasOOM, HasPeak and HasCPU tell which of the numbers exist here: the
	// first two need the memory controller.
	HasOOM, HasPeak, HasCPU bool
}

// OOMKilled tells whether the OOM killer ended a worker: it ended by SIGKILL,
// and between before and c (read after its end and before its cgroup is
// removed) the counter of its cgroup moved. The kernel counts before it kills,
// so this never comes too early.
//
// It is exact where the worker has the cgroup to itself. In a shared one the
// counter may have moved for another; then it is what is likely.
func (c Counters) OOMKilled(before Counters, sigkill bool) bool {
	return sigkill && c.HasOOM && before.HasOOM && c.OOMKills > before.OOMKills
}

// Read reads the counters of a cgroup. A file that does not exist leaves its
// Has field false; [ErrRemoved] and [ErrNotCgroup] are told as an [*Error].
// dir is lent.
func Read(dir int) (Counters, error) { return read(dir) }

// ReadOOM is [Read] without what costs time: of the result only HasOOM and
// OOMKills are filled in, and a cgroup that was removed, or is none, is not told
// from one without the memory controller. It is meant for the sample before a
// start, where [Check] has just looked.
func ReadOOM(dir int) (Counters, error) { return readOOM(dir) }

// parseCounters fills in what memory.events(.local), memory.peak and cpu.stat
// hold; nil stands for a file that does not exist.
func parseCounters(events, peak, cpu []byte) Counters {
	var c Counters
	c.OOMKills, c.HasOOM = Field(events, "oom_kill")
	c.PeakMemory, c.HasPeak = Number(peak)
	usage, ok := Field(cpu, "usage_usec")
	user, _ := Field(cpu, "user_usec")
	system, _ := Field(cpu, "system_usec")
	c.CPUTime, c.HasCPU = Microseconds(usage), ok
	c.UserTime, c.SystemTime = Microseconds(user), Microseconds(system)
	return c
}

// Microseconds is a number of them out of a cgroup's file. It holds at the largest
// duration (292 years) instead of wrapping.
func Microseconds(n uint64) time.Duration {
	const most = uint64(1<<63-1) / uint64(time.Microsecond)
	return time.Duration(min(n, most)) * time.Microsecond
}
