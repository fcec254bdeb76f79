// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/seed-cb702d51/tfork-go/internal/ci/plan"
)

// delegate gives the ordinary user a cgroup, the way a service manager does
// for a login session: the user owns the group and may make groups in it, and
// the user's processes are in a leaf of it. It returns the leaf, to start a
// process in; the caller closes it. A second call finds what the first one made.
func delegate(root string) (fd int, err error) {
	group := filepath.Join(root, "user")
	leaf := filepath.Join(group, "session")
	if err := os.MkdirAll(leaf, 0o755); err != nil {
		return -1, err
	}
	if err := enableControllers(group); err != nil {
		return -1, err
	}
	for _, dir := range []string{group, leaf} {
		for _, name := range []string{"", "cgroup.procs", "cgroup.threads", "cgroup.subtree_control"} {
			if err := os.Chown(filepath.Join(dir, name), plan.Nobody, plan.Nobody); err != nil {
				return -1, err
			}
		}
	}
	fd, err = unix.Open(leaf, unix.O_DIRECTORY|unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, &os.PathError{Op: "open", Path: leaf, Err: err}
	}
	return fd, nil
}
