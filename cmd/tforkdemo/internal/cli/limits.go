// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"github.com/seed-cb702d51/tfork-go/cgroup"
	"github.com/seed-cb702d51/tfork-go/cmd/tforkdemo/internal/report"
	"github.com/seed-cb702d51/tfork-go/tfork"
)

// limitFlags say what each command may use, and below which cgroup.
type limitFlags struct {
	parent string
	memory cgroup.Bytes
	pids   int64
	cpus   float64
	wanted bool // one of them was given
}

// register adds the flags of run that are about cgroups.
func (l *limitFlags) register(f *pflag.FlagSet) {
	f.StringVar(&l.parent, "cgroup", "", "make the commands' cgroups below `DIRECTORY`")
	f.Var(&l.memory, "memory-max", "memory of each command, such as 64MiB")
	f.Int64Var(&l.pids, "pids-max", 0, "processes and threads of each command")
	f.Float64Var(&l.cpus, "cpus", 0, "processors' time for each command, such as 0.5")
}

// check finds values that no kernel takes, and zero: to the kernel's files that
// is a limit of nothing, to package cgroup no limit at all, and to the user of
// a command line perhaps either.
func (l *limitFlags) check(f *pflag.FlagSet) error {
	for name, zero := range map[string]bool{
		"cgroup": l.parent == "", "memory-max": l.memory == 0, "pids-max": l.pids == 0, "cpus": l.cpus == 0,
	} {
		if !f.Changed(name) {
			continue
		}
		if zero {
			return fmt.Errorf("--%s is %q: it must be more than nothing", name, f.Lookup(name).Value)
		}
		l.wanted = true
	}
	return l.limits().Check()
}

// limits are those of each command's own cgroup; zero means none.
func (l *limitFlags) limits() cgroup.Limits {
	return cgroup.Limits{MemoryMax: l.memory, PidsMax: l.pids, CPUs: l.cpus}
}

// parentGroup is the cgroup that those of the commands are made in; nil if
// nobody asked for any.
type parentGroup struct {
	group  *cgroup.Group
	limits cgroup.Limits
}

// open opens it, and makes room in it if that moves nobody but us: that is the
// case right after systemd-run --scope, for instance. It is nil, and no error, if
// no flag asks for a cgroup.
func (l *limitFlags) open() (*parentGroup, error) {
	if !l.wanted {
		return nil, nil
	}
	group, err := cgroup.Delegated()
	if l.parent != "" {
		group, err = cgroup.Open(l.parent)
	}
	if err != nil {
		return nil, err
	}
	// A cgroup that holds processes cannot pass controllers on. Others are
	// never moved: that is theirs to decide.
	if l.limits() != (cgroup.Limits{}) && onlyUs(group) {
		if err := group.EnterLeaf(); err != nil {
			group.Close()
			return nil, err
		}
	}
	return &parentGroup{group, l.limits()}, nil
}

// onlyUs tells whether this process is the only one directly in the group.
func onlyUs(g *cgroup.Group) bool {
	procs, err := os.ReadFile(filepath.Join(g.Path(), "cgroup.procs"))
	return err == nil && strings.TrimSpace(string(procs)) == strconv.Itoa(os.Getpid())
}

// options say where to make each command's cgroup; nil means no cgroup.
func (p *parentGroup) options() *cgroup.Options {
	if p == nil {
		return nil
	}
	return &cgroup.Options{Parent: p.group, Limits: p.limits}
}

// close lets go of it. The cgroup itself was there before, and stays.
func (p *parentGroup) close() {
	if p != nil {
		p.group.Close()
	}
}

// printUse tells what the cgroup of a single command saw: the OOM killer
// always, the rest on demand.
func (a *app) printUse(o *runOptions, p *tfork.Process, st tfork.Status) {
	if p.Placement() == tfork.PlacedNowhere {
		return
	}
	use := "peak memory unknown"
	if peak, ok := st.PeakMemory(); ok {
		use = "peak memory " + report.Bytes(peak)
	}
	if cpu, ok := st.CPUTime(); ok {
		use += ", CPU time " + report.Duration(cpu)
	}
	if st.OOMKilled() {
		a.printf("worker %d was killed by the OOM killer: %s", p.Pid, use)
	} else if o.verbose {
		a.printf("worker %d in its cgroup (%v): %s", p.Pid, p.Placement(), use)
	}
}
