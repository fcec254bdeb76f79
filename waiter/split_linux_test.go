// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package waiter

import (
	"testing"

	"golang.org/x/sys/unix"

	"github.com/seed-cb702d51/tfork-go/internal/testutil"
)

// TestSpawn_ThreadUnlikeTheMainThread: no waiter can serve it, which is said at once
// and is nothing for all others.
func TestSpawn_ThreadUnlikeTheMainThread(t *testing.T) {
	if !testutil.Told("NoNewPrivs") {
		t.Skip("the kernel does not say it of a process")
	}
	p := newPool(t)
	for _, dedicated := range []bool{true, false} {
		r := shell("exit 0")
		r.Dedicated = dedicated
		var err error
		onOddThread(t, func() { _, err = p.Spawn(r) })
		if err != errSplit {
			t.Errorf("dedicated=%v: %v, want %v", dedicated, err, errSplit)
		}
		w, err := p.Spawn(r)
		if err != nil {
			t.Errorf("dedicated=%v, from another thread: %v", dedicated, err)
		} else if status, err := within(t, w); err != nil || status != 0 {
			t.Errorf("dedicated=%v, from another thread: %#x, %v", dedicated, status, err)
		}
	}
}

// onOddThread runs f on a thread that has given up more than the main thread, and
// ends with it.
func onOddThread(t *testing.T, f func()) {
	if v, err := unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0); err != nil || v != 0 {
		t.Skip("the whole process has no_new_privs: ", err)
	}
	testutil.OnOwnThread(func() {
		if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
			t.Error(err)
		}
		f()
	})
}
