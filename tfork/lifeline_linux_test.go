// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package tfork

import (
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestLifeline_WithoutTheNetworkPoller: the parent lives, also where epoll takes no
// more descriptors. A file that became non-blocking after it was made is one that
// the poller does not have.
func TestLifeline_WithoutTheNetworkPoller(t *testing.T) {
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	end := lifelineEnd{os.NewFile(uintptr(p[0]), "lifeline")}
	defer end.file.Close()
	if err := unix.SetNonblock(p[0], true); err != nil {
		t.Fatal(err)
	}
	if end.file.SetReadDeadline(time.Time{}) == nil {
		t.Fatal("the network poller has it")
	}
	gone := make(chan struct{})
	go func() { end.await(); close(gone) }()
	select {
	case <-gone:
		t.Error("the parent is gone while it lives")
	case <-time.After(100 * time.Millisecond):
	}
	unix.Close(p[1])
	select {
	case <-gone:
	case <-time.After(patience):
		t.Error("the parent's end is not seen")
	}
}

// TestEventFD_FdLeavesItNonblocking is what EventFD's documentation says.
func TestEventFD_FdLeavesItNonblocking(t *testing.T) {
	file, w, err := newEvent()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	defer w.fire()
	if flags, err := unix.FcntlInt(file.Fd(), unix.F_GETFL, 0); err != nil || flags&unix.O_NONBLOCK == 0 {
		t.Errorf("flags %#x, %v", flags, err)
	}
}
