// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package tfork

import (
	"errors"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// checkAttributes refuses what the standard library refuses before the fork,
// in its words, and what it should.
func checkAttributes(l *launch) error {
	if l.sys == nil {
		return nil
	}
	var err error
	switch {
	case l.hasNUL():
		err = syscall.EINVAL
	case l.sys.Setctty && l.sys.Foreground:
		err = errors.New("both Setctty and Foreground set in SysProcAttr")
	case l.sys.Setctty && l.sys.Ctty >= len(l.files):
		//lint:ignore ST1005 the text is that of syscall.StartProcess
		err = errors.New("Setctty set but Ctty not valid in child")
	case !areCapabilities(l.sys.AmbientCaps):
		err = syscall.EINVAL
	default:
		return nil
	}
	return &os.PathError{Op: "fork/exec", Path: l.path, Err: err}
}

// withdrawPidFD takes back the descriptor that a start which failed has given, as
// syscall.ForkExec does.
func withdrawPidFD(attr *syscall.SysProcAttr) {
	if attr == nil || attr.PidFD == nil || *attr.PidFD < 0 {
		return
	}
	unix.Close(*attr.PidFD)
	*attr.PidFD = -1
}

// hasNUL tells whether a string has a NUL byte, which no system call can take.
func (l *launch) hasNUL() bool {
	for _, list := range [][]string{{l.path, l.dir, l.sys.Chroot}, l.args, l.env} {
		for _, s := range list {
			if strings.IndexByte(s, 0) >= 0 {
				return true
			}
		}
	}
	return false
}

// areCapabilities keeps numbers that are none from the standard library, which
// would look them up in a table after the fork, beyond its end: the whole
// program dies of that.
func areCapabilities(caps []uintptr) bool {
	for _, c := range caps {
		if c > 63 {
			return false
		}
	}
	return true
}
