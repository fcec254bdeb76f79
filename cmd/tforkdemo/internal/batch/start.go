// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package batch

import (
	"github.com/seed-cb702d51/tfork-go/cgroup"
	"github.com/seed-cb702d51/tfork-go/tfork"
)

// Start starts cmd, in a fresh cgroup if in is not nil. wait is called in place
// of cmd.Wait, once: it also ends what the command has left in that cgroup, and
// removes it.
func Start(cmd *tfork.Cmd, in *cgroup.Options) (wait func() error, err error) {
	if in == nil {
		return cmd.Wait, cmd.Start()
	}
	job, err := cgroup.Start(cmd, *in)
	if err != nil {
		return nil, err
	}
	return job.Wait, nil
}
