// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package cgroup

import (
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
)

// Limits is what a group may use, each worker in it and below together. A zero
// field leaves the kernel's setting alone (in a new group: no limit).
type Limits struct {
	// MemoryMax is the hard limit in bytes; above it the OOM killer comes.
	// At least one page. memory.max, Linux 4.5.
	MemoryMax Bytes
	// MemoryHigh, in bytes, slows the group down above it and reclaims.
	// memory.high, Linux 4.5.
	MemoryHigh Bytes
	// SwapMax is how many bytes may be swapped out; [NoSwap] for none.
	// memory.swap.max, Linux 4.5; absent on kernels without swap.
	SwapMax Bytes
	// OOMGroup makes the OOM killer end the whole group instead of one process:
	// right for one worker per group. memory.oom.group, Linux 4.19.
	OOMGroup bool
	// PidsMax is the number of processes and threads, 1 to 4194304; fork
	// answers EAGAIN above it. pids.max, Linux 4.5.
	PidsMax int64
	// CPUs is how many processors' time the group gets, counted over 100 ms:
	// 0.5 is half of one. At least 0.01. cpu.max, Linux 4.15.
	CPUs float64
	// CPUWeight is its share when processors are short, 1 to 10000; the
	// kernel's default is 100. cpu.weight, Linux 4.15.
	CPUWeight int
	// IOWeight is its share of disks, 1 to 10000; the default is 100. io.weight
	// (Linux 5.4), else io.bfq.weight, scaled to 1 to 1000.
	IOWeight int
	// CPUSet lists the processors that it may run on: "0-3,7". cpuset.cpus,
	// Linux 5.0.
	CPUSet string
	// MemorySet lists the memory nodes that it may allocate from: "0".
	// cpuset.mems, Linux 5.0.
	MemorySet string
}

// The kernel's own bounds.
const (
	weightMax = 10000        // CGROUP_WEIGHT_MAX
	pidsMax   = 4 << 20      // PID_MAX_LIMIT on 64-bit systems
	cpuPeriod = 100_000      // microseconds: the kernel's default for cpu.max
	cpusMin   = 0.01         // cpu.max takes no less than 1 ms in a period
	cpusMax   = float64(1e6) // far below where the quota overflows
	bfqMax    = 1000         // BFQ_MAX_WEIGHT
	listMax   = 1 << 16      // more processors or nodes than Linux can have
)

// Check tells whether the kernel could take these values: the first that it
// could not is a [*LimitError]. It asks nothing of this host; whether a
// controller is there is found out by [Create].
func (l Limits) Check() error {
	return firstError(
		checkBytes("MemoryMax", l.MemoryMax, Bytes(os.Getpagesize())),
		checkBytes("MemoryHigh", l.MemoryHigh, Bytes(os.Getpagesize())),
		checkBytes("SwapMax", l.SwapMax, NoSwap),
		checkPids(l.PidsMax),
		checkCPUs(l.CPUs),
		checkWeight("CPUWeight", l.CPUWeight),
		checkWeight("IOWeight", l.IOWeight),
		checkList("CPUSet", l.CPUSet),
		checkList("MemorySet", l.MemorySet),
	)
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func limitError(field string, value any, format string, args ...any) error {
	return &LimitError{Field: field, Value: fmt.Sprint(value), Err: fmt.Errorf(format, args...)}
}

func checkBytes(field string, b, least Bytes) error {
	switch {
	case b == 0 || b >= least:
		return nil
	case least == NoSwap:
		return limitError(field, int64(b), "must not be negative (NoSwap is %d)", int64(NoSwap))
	case b < 0:
		return limitError(field, int64(b), "must not be negative")
	}
	return limitError(field, b, "less than one page, which is %v", least)
}

func checkPids(n int64) error {
	if n < 0 || n > pidsMax && n != Unlimited {
		return limitError("PidsMax", n, "must be 1 to %d", pidsMax)
	}
	return nil
}

func checkCPUs(f float64) error {
	if f == 0 || f >= cpusMin && f <= cpusMax || math.IsInf(f, 1) {
		return nil
	}
	return limitError("CPUs", f, "must be %v to %v processors", cpusMin, cpusMax)
}

func checkWeight(field string, n int) error {
	if n < 0 || n > weightMax {
		return limitError(field, n, "must be 1 to %d", weightMax)
	}
	return nil
}

// checkList holds a list to the form "0-3,7". The kernel would take more, but
// it also takes what nobody meant: an empty list means "all".
func checkList(field, list string) error {
	if list == "" {
		return nil
	}
	for part := range strings.SplitSeq(list, ",") {
		from, to, isRange := strings.Cut(part, "-")
		if !isRange {
			to = from
		}
		a, errA := strconv.ParseUint(from, 10, 32)
		b, errB := strconv.ParseUint(to, 10, 32)
		if errA != nil || errB != nil || a > b || b >= listMax {
			return limitError(field, strconv.Quote(list), "%q is no number and no range like 0-3", part)
		}
	}
	return nil
}

// controllers returns those that the limits need.
func (l Limits) controllers() []string {
	var need []string
	add := func(name string, needed bool) {
		if needed {
			need = append(need, name)
		}
	}
	add("memory", l.MemoryMax != 0 || l.MemoryHigh != 0 || l.SwapMax != 0 || l.OOMGroup)
	add("pids", l.PidsMax != 0)
	add("cpu", l.CPUs != 0 || l.CPUWeight != 0)
	add("io", l.IOWeight != 0)
	add("cpuset", l.CPUSet != "" || l.MemorySet != "")
	return need
}
