// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package cgroup

import (
	"errors"
	"os/exec"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/seed-cb702d51/tfork-go/internal/testutil"
	"github.com/seed-cb702d51/tfork-go/tfork"
)

// starter is a Cmd of os/exec or of tfork.
type starter interface {
	Start() error
	Wait() error
}

// BenchmarkStart compares a start inside a cgroup with a plain one. The two
// take turns, so that whatever else the machine does meets both; "inside/plain"
// is the ratio of the medians, and ns/op is a pair with the waiting.
func BenchmarkStart(b *testing.B) {
	tiny := testutil.Tiny(b, 0)
	g := newGroup(b, newParent(b), Limits{})
	b.Run("os_exec", func(b *testing.B) {
		g.with(func(fd int) error {
			takeTurns(b, func(inside bool) starter {
				c := exec.Command(tiny)
				c.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: inside, CgroupFD: fd}
				return c
			})
			return nil
		})
	})
	for _, s := range []tfork.Strategy{tfork.Direct, tfork.Waiter} {
		b.Run(s.String(), func(b *testing.B) {
			takeTurns(b, func(inside bool) starter {
				c := tfork.Command(tiny)
				c.Strategy = s
				if inside {
					c.Cgroup = g.Dir()
				}
				return c
			})
		})
	}
}

func takeTurns(b *testing.B, command func(inside bool) starter) {
	took := map[bool][]time.Duration{}
	for b.Loop() {
		for _, inside := range []bool{false, true} {
			c := command(inside)
			began := time.Now()
			err := c.Start()
			took[inside] = append(took[inside], time.Since(began))
			if errors.Is(err, tfork.ErrNotSupported) {
				b.Skip(err)
			}
			if err := errors.Join(err, c.Wait()); err != nil {
				b.Fatal(err)
			}
		}
	}
	median := func(d []time.Duration) float64 {
		slices.Sort(d)
		return float64(d[len(d)/2])
	}
	b.ReportMetric(median(took[false]), "plain-ns")
	b.ReportMetric(median(took[true]), "inside-ns")
	b.ReportMetric(median(took[true])/median(took[false]), "inside/plain")
}
