// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package tfork

// Placement tells how a worker came into its cgroup.
type Placement int

type evidence struct{}

func (*evidence) complete(*Status) {}
