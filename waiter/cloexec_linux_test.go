// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package waiter

import (
	"testing"

	"golang.org/x/sys/unix"
)

// TestDescriptors_AreCloseOnExec: whatever another goroutine starts while a
// request is on its way inherits nothing of it.
func TestDescriptors_AreCloseOnExec(t *testing.T) {
	tests := map[string]func() ([]int, error){
		"socket": func() ([]int, error) {
			ours, theirs, err := socketPair()
			if err != nil {
				return nil, err
			}
			t.Cleanup(func() { ours.Close(); theirs.Close() })
			return []int{fdOf(ours), fdOf(theirs)}, nil
		},
		"socket of files": func() ([]int, error) {
			side, err := sideSocket([]int{0})
			t.Cleanup(func() { closePidFD(side) })
			return []int{side}, err
		},
		"body": func() ([]int, error) {
			body, err := bodyMemfd([]byte("x"))
			t.Cleanup(func() { closePidFD(body) })
			return []int{body}, err
		},
		"working directory": func() ([]int, error) {
			q, err := encode(&Request{Path: "x"})
			if err == nil {
				t.Cleanup(q.close)
			}
			return []int{q.cwd}, err
		},
	}
	for name, open := range tests {
		t.Run(name, func(t *testing.T) {
			fds, err := open()
			if err != nil {
				t.Fatal(err)
			}
			for _, fd := range fds {
				if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
					t.Errorf("descriptor %d: flags %#x, %v: not close-on-exec", fd, flags, err)
				}
			}
		})
	}
}
