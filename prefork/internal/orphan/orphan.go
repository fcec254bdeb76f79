// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package orphan

import (
	"context"
	"time"
)

// Grace is how long a stranger stays a zombie before it is reaped.
const Grace = time.Second

// Reaped is an orphan that was reaped.
type Reaped struct {
	Pid int
	// Status is the raw wait status.
	Status uint32
}

// Run reaps orphans until ctx ends. It looks whenever SIGCHLD comes; who
// ignores SIGCHLD has no zombies. keep, which may be nil, claims processes by
// their pid; report is told of every one that was reaped, from Run's goroutine.
func Run(ctx context.Context, keep func(pid int) bool, report func(Reaped)) error {
	return run(ctx, keep, report)
}

// Zombie tells whether a process, whoever's child it is, has ended and was not
// reaped.
func Zombie(pid int) bool { return isZombie(pid) }

// Needed tells whether orphans come to this process: it is PID 1 or a child
// subreaper.
func Needed() bool { return needed() }
