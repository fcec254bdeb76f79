// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package cgroup

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-cb702d51/tfork-go/internal/testutil"
)

// TestRounds_NothingIsLeft makes, uses and removes 500 groups, 8 at a time.
func TestRounds_NothingIsLeft(t *testing.T) {
	rounds := 500
	if testing.Short() {
		rounds = 50
	}
	parent := newParent(t)
	limits := Limits{PidsMax: 100, MemoryMax: GiB}
	if g, err := Create(parent, "probe", limits); err == nil {
		remove(t, g)
	} else if errors.Is(err, ErrNoController) {
		limits = Limits{} // the rest of the round is worth as much
	}
	work := make(chan struct{})
	var workers sync.WaitGroup
	for range 8 {
		workers.Go(func() {
			for range work {
				if err := round(parent, limits); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range rounds {
		work <- struct{}{}
	}
	close(work)
	workers.Wait()
	if left := groupsIn(t, parent.Path()); len(left) != 0 {
		t.Errorf("%d directories are left: %v", len(left), left)
	}
	for fd, to := range testutil.FDs() {
		if strings.Contains(to, "inotify") || strings.HasPrefix(to, parent.Path()+"/") {
			t.Errorf("fd %s -> %s is left", fd, to)
		}
	}
}

// round is start, limit, kill, delete.
func round(parent *Group, limits Limits) error {
	g, err := Create(parent, "round-*", limits)
	if err != nil {
		return err
	}
	defer g.Close()
	c, err := startIn(g, "/bin/sleep", "100")
	if err != nil {
		return err
	}
	if err := g.Kill(); err != nil {
		return err
	}
	c.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return g.Delete(ctx)
}
