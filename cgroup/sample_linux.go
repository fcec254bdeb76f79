// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package cgroup

import (
	"math"
	"path/filepath"
	"slices"

	"github.com/containerd/cgroups/v3/cgroup2"
	"github.com/containerd/cgroups/v3/cgroup2/stats"

	"github.com/seed-cb702d51/tfork-go/internal/cgroupfs"
)

func (g *Group) sample() (s Sample, err error) {
	err = g.with(func(fd int) error {
		c, err := cgroupfs.Read(fd)
		s = Sample(c)
		return err
	})
	return s, err
}

func (g *Group) stat() (Stat, error) {
	have, err := words(filepath.Join(g.path, "cgroup.controllers"))
	if err != nil {
		return Stat{}, explainControl(g.path, err)
	}
	m, err := g.manager()
	if err != nil {
		return Stat{}, err
	}
	mask := cgroup2.StatCPU | cgroup2.StatIO
	if slices.Contains(have, "memory") {
		mask |= cgroup2.StatMemory | cgroup2.StatMemoryEvents
	}
	if slices.Contains(have, "pids") {
		mask |= cgroup2.StatPids
	}
	metrics, err := m.StatFiltered(mask)
	if err != nil {
		return Stat{}, explainControl(g.path, err)
	}
	return g.convert(have, metrics), nil
}

// convert puts the engine's numbers into ours; its getters are nil-safe.
func (g *Group) convert(have []string, m *stats.Metrics) Stat {
	return Stat{
		Controllers:    have,
		CPUTime:        cgroupfs.Microseconds(m.GetCPU().GetUsageUsec()),
		UserTime:       cgroupfs.Microseconds(m.GetCPU().GetUserUsec()),
		SystemTime:     cgroupfs.Microseconds(m.GetCPU().GetSystemUsec()),
		Throttled:      cgroupfs.Microseconds(m.GetCPU().GetThrottledUsec()),
		Memory:         amount(m.GetMemory().GetUsage()),
		MemoryPeak:     amount(m.GetMemory().GetMaxUsage()),
		Swap:           amount(m.GetMemory().GetSwapUsage()),
		Pids:           m.GetPids().GetCurrent(),
		OOMKills:       m.GetMemoryEvents().GetOomKill(),
		OOMGroupKills:  m.GetMemoryEvents().GetOomGroupKill(),
		CPUPressure:    pressure(m.GetCPU().GetPSI()),
		MemoryPressure: pressure(m.GetMemory().GetPSI()),
		IOPressure:     pressure(m.GetIo().GetPSI()),
	}
}

func pressure(p *stats.PSIStats) *Pressure {
	if p == nil {
		return nil
	}
	return &Pressure{Some: stall(p.GetSome()), Full: stall(p.GetFull())}
}

func stall(d *stats.PSIData) Stall {
	return Stall{Avg10: d.GetAvg10(), Avg60: d.GetAvg60(), Avg300: d.GetAvg300(), Total: cgroupfs.Microseconds(d.GetTotal())}
}

// amount holds at its largest value instead of turning negative.
func amount(n uint64) Bytes { return Bytes(min(n, math.MaxInt64)) }
