// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package tfork

import (
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/seed-cb702d51/tfork-go/internal/sys"
)

// checkAttributes refuses what the standard library refuses before the fork,
// in its words, and what it should.
func checkAttributes(l *launch) error {
	if l.sys == nil {
		return nil
	}
	err := sys.CheckAttributes(l.sys, len(l.files))
	if l.hasNUL() {
		err = syscall.EINVAL
	}
	if err == nil {
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
