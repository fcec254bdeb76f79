// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package sys

import (
	"errors"
	"slices"
	"syscall"
)

// CheckAttributes refuses, for a worker with so many files, what the standard
// library refuses before the fork, in its words; and numbers that are no
// capabilities. Those it would look up in a table after the fork, beyond its end:
// the whole program dies of that.
func CheckAttributes(attr *syscall.SysProcAttr, files int) error {
	switch {
	case attr.Setctty && attr.Foreground:
		return errors.New("both Setctty and Foreground set in SysProcAttr")
	case attr.Setctty && attr.Ctty >= files:
		//lint:ignore ST1005 the text is that of syscall.StartProcess
		return errors.New("Setctty set but Ctty not valid in child")
	case slices.ContainsFunc(attr.AmbientCaps, func(c uintptr) bool { return c > 63 }):
		return syscall.EINVAL
	}
	return nil
}
