// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package waiter

import (
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/seed-cb702d51/tfork-go/internal/testutil"
	"github.com/seed-cb702d51/tfork-go/internal/wire"
)

// TestSpawn_NothingLentIsHeldAfterTheAnswer: what the caller does with a file once
// it knows of the start must not depend on how fast the waiter is.
func TestSpawn_NothingLentIsHeldAfterTheAnswer(t *testing.T) {
	for _, fails := range []syscall.Errno{0, syscall.ENOENT} {
		testutil.OnOwnThread(func() { // its working directory changes
			if !isolate() {
				t.Log("threads cannot have a working directory of their own here")
				return
			}
			answerWithFiles(t, fails)
		})
	}
}

// answerWithFiles plays one start that fails so, or not.
func answerWithFiles(t *testing.T, fails syscall.Errno) {
	var lent [2]int
	for i := range lent {
		fd, err := unix.Open(t.TempDir(), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Error(err)
			return
		}
		lent[i] = fd
	}
	answers := 0
	srv := newServer(env{
		observe: func(f *facts, buf []byte) []byte { f.umask = -1; return buf },
		pidfd:   func(int) (int, error) { return -1, unix.ENOSYS },
		spawn: func(string, []string, *syscall.ProcAttr) (int, error) {
			if fails != 0 {
				return 0, fails
			}
			return 4711, nil
		},
	}, &outbox{send: func([]byte, []int) error {
		answers++
		for _, fd := range lent {
			if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != unix.EBADF {
				t.Errorf("start that says %q: descriptor %d is open when the caller hears of it", fails, fd)
			}
		}
		if dir, err := unix.Getwd(); err != nil || dir != "/" {
			t.Errorf("start that says %q: still in %s when the caller hears of it, %v", fails, dir, err)
		}
		return nil
	}})
	srv.own, srv.sound = true, true
	q := wire.Request{Path: "/x", Args: []string{"x"}, Flags: wire.HasCwd, Slots: []bool{true}}
	body := q.Append(nil)
	msg := append(wire.Envelope{Files: uint32(len(lent)), Body: uint32(len(body))}.Append(nil, 1), body...)
	h, payload, err := wire.Parse(msg)
	if err != nil {
		t.Error(err)
		return
	}
	m := message{Header: h, payload: payload, fds: lent[:], from: srv.caller}
	if err := srv.newThread().handleSpawn(&m); err != nil || answers != 1 {
		t.Errorf("%d answers, %v", answers, err)
	}
}
