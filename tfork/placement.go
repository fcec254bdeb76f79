// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package tfork

import (
	"errors"
	"fmt"
)

// Placement tells how a worker came into its cgroup.
type Placement int

const (
	// PlacedNowhere: [Cmd.Cgroup] was nil, the worker is in its starter's.
	PlacedNowhere Placement = iota
	// PlacedBorn: the worker was born inside (CLONE_INTO_CGROUP, Linux 5.7).
	PlacedBorn
	// PlacedJoined: the new process joined before the first instruction of the
	// program or function. It needs [Dispatch], and is what is left where
	// clone3 is refused, as container profiles do.
	PlacedJoined
	// PlacedMoved: the caller moved the worker after its start, because
	// [Cmd.CgroupMove] asked for it. What the worker had done by then, it did
	// elsewhere.
	PlacedMoved
)

// String returns "nowhere", "born inside", "joined" or "moved".
func (p Placement) String() string {
	switch p {
	case PlacedNowhere:
		return "nowhere"
	case PlacedBorn:
		return "born inside"
	case PlacedJoined:
		return "joined"
	case PlacedMoved:
		return "moved"
	}
	return fmt.Sprintf("Placement(%d)", int(p))
}

// Placement tells how the worker came into [Cmd.Cgroup].
func (p *Process) Placement() Placement { return p.placed }

// errCgroupTwice is for a cgroup that was asked for in two ways.
var errCgroupTwice = errors.New("tfork: Cmd.Cgroup and SysProcAttr.UseCgroupFD are both set: use Cmd.Cgroup alone")

// placement is the best way into a cgroup that can be had: the
// caller's wish to move comes last, because it is late and because the kernel
// stops every fork of the host for it.
func (c *Cmd) placement(born error, joinable func() error) (Placement, error) {
	if born == nil {
		return PlacedBorn, nil
	}
	joined := joinable()
	switch {
	case joined == nil:
		return PlacedJoined, nil
	case c.CgroupMove:
		return PlacedMoved, nil
	}
	return PlacedNowhere, fmt.Errorf("tfork: Cmd.Cgroup: the worker cannot be born there (%w) and cannot join (%w); Cmd.CgroupMove would move it after its start", born, joined)
}
