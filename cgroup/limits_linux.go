// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/containerd/cgroups/v3/cgroup2"

	"github.com/seed-cb702d51/tfork-go/internal/feature"
)

// limitFiles tells which field of Limits a file of the kernel's belongs to,
// and the first kernel that has it.
var limitFiles = map[string]struct{ field, since string }{
	"memory.max":       {"MemoryMax", "Linux 4.5"},
	"memory.high":      {"MemoryHigh", "Linux 4.5"},
	"memory.swap.max":  {"SwapMax", "a kernel with swap"},
	"memory.oom.group": {"OOMGroup", "Linux 4.19"},
	"pids.max":         {"PidsMax", "Linux 4.5"},
	"cpu.max":          {"CPUs", "Linux 4.15"},
	"cpu.weight":       {"CPUWeight", "Linux 4.15"},
	"io.weight":        {"IOWeight", "Linux 5.4 with io.cost, or the BFQ scheduler"},
	"io.bfq.weight":    {"IOWeight", "Linux 5.4 with io.cost, or the BFQ scheduler"},
	"cpuset.cpus":      {"CPUSet", "Linux 5.0"},
	"cpuset.mems":      {"MemorySet", "Linux 5.0"},
}

// apply writes the limits through the engine, and the one file that it does
// not know.
func (g *Group) apply(l Limits) error {
	m, err := g.manager()
	if err != nil {
		return err
	}
	r := l.resources()
	if l.IOWeight != 0 {
		err := g.write("io.weight", "default "+strconv.Itoa(l.IOWeight))
		if errors.Is(err, fs.ErrNotExist) {
			r.IO = &cgroup2.IO{BFQ: cgroup2.BFQ{Weight: bfqWeight(l.IOWeight)}}
		} else if err != nil {
			return l.explain(err)
		}
	}
	return l.explain(m.Update(r))
}

// manager is the engine for this directory. It keeps nothing but the path.
func (g *Group) manager() (*cgroup2.Manager, error) {
	dir, base := filepath.Split(g.path)
	if g.path == g.mount {
		dir, base = g.path, ""
	}
	return cgroup2.Load("/"+base, cgroup2.WithMountpoint(filepath.Clean(dir)))
}

// resources are the limits in the engine's words.
func (l Limits) resources() *cgroup2.Resources {
	var r cgroup2.Resources
	if l.MemoryMax != 0 || l.MemoryHigh != 0 || l.SwapMax != 0 || l.OOMGroup {
		r.Memory = &cgroup2.Memory{
			Max: set(l.MemoryMax), High: set(l.MemoryHigh), Swap: set(l.SwapMax),
		}
		if l.OOMGroup {
			r.Memory.OOMGroup = &l.OOMGroup
		}
	}
	if l.PidsMax == Unlimited {
		l.PidsMax = -1 // the engine's word for "max"
	}
	if l.PidsMax != 0 {
		r.Pids = &cgroup2.Pids{Max: l.PidsMax}
	}
	if l.CPUs != 0 || l.CPUWeight != 0 || l.CPUSet != "" || l.MemorySet != "" {
		r.CPU = &cgroup2.CPU{Max: cpuMax(l.CPUs), Cpus: l.CPUSet, Mems: l.MemorySet}
		if l.CPUWeight != 0 {
			weight := uint64(l.CPUWeight)
			r.CPU.Weight = &weight
		}
	}
	return &r
}

// set is nil for "leave alone". The kernel reads the largest number as "max".
func set(b Bytes) *int64 {
	n := int64(b)
	switch b {
	case 0:
		return nil
	case NoSwap:
		n = 0
	}
	return &n
}

func cpuMax(cpus float64) cgroup2.CPUMax {
	switch {
	case cpus == 0:
		return ""
	case math.IsInf(cpus, 1):
		return cgroup2.NewCPUMax(nil, nil)
	}
	quota, period := int64(math.Round(cpus*cpuPeriod)), uint64(cpuPeriod)
	return cgroup2.NewCPUMax(&quota, &period)
}

// bfqWeight keeps the default, 100, where it is in both scales.
func bfqWeight(w int) uint16 {
	if w <= 100 {
		return uint16(w)
	}
	return uint16(100 + (w-100)*(bfqMax-100)/(weightMax-100))
}

// explain names the field that the kernel refused.
func (l Limits) explain(err error) error {
	var p *fs.PathError
	if err == nil || !errors.As(err, &p) {
		return err
	}
	file, ok := limitFiles[filepath.Base(p.Path)]
	if !ok {
		return err
	}
	why := error(p)
	if _, statErr := os.Stat(p.Path); errors.Is(statErr, fs.ErrNotExist) {
		if _, statErr := os.Stat(filepath.Dir(p.Path)); statErr != nil {
			return &Error{Path: filepath.Dir(p.Path), Cause: ErrRemoved, Err: p}
		}
		why = &feature.Error{Name: filepath.Base(p.Path), Since: file.since, Reason: syscall.ENOENT}
	}
	return &LimitError{Field: file.field, Value: l.text(file.field), Err: why}
}

// text is a field's value for a person.
func (l Limits) text(field string) string {
	return fmt.Sprint(map[string]any{
		"MemoryMax": l.MemoryMax, "MemoryHigh": l.MemoryHigh, "SwapMax": l.SwapMax, "OOMGroup": l.OOMGroup,
		"PidsMax": l.PidsMax, "CPUs": l.CPUs, "CPUWeight": l.CPUWeight, "IOWeight": l.IOWeight,
		"CPUSet": strconv.Quote(l.CPUSet), "MemorySet": strconv.Quote(l.MemorySet),
	}[field])
}
