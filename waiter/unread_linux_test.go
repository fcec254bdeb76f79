// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package waiter

import (
	"os"
	"testing"
	"time"

	"github.com/seed-cb702d51/tfork-go/internal/testutil"
)

// TestRead_WaiterThatReadsNothing: whoever waits for the answer of a process that
// has ended without reading the question is told. Kernels report that end in more
// than one way.
func TestRead_WaiterThatReadsNothing(t *testing.T) {
	ours, theirs, err := socketPair()
	if err != nil {
		t.Fatal(err)
	}
	defer theirs.Close()
	raw, err := ours.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if err := sendmsg(fdOf(ours), []byte("a question"), nil, 0); err != nil {
		t.Fatal(err)
	}
	proc, err := os.StartProcess("/bin/true", []string{"true"}, &os.ProcAttr{Files: []*os.File{nil, nil, nil, theirs}})
	if err != nil {
		t.Fatal(err)
	}
	c := &conn{
		proc: proc, waiterPid: proc.Pid, file: ours, raw: raw, watched: true, gone: make(chan struct{}),
		workers: map[uint64]*Worker{}, signals: map[uint64]chan uint32{},
	}
	w := &Worker{conn: c, pidfd: -1, userPidFD: -1, answered: make(chan error, 1), done: make(chan struct{})}
	if !c.add(w) {
		t.Fatal("a new connection takes no worker")
	}
	theirs.Close()
	go c.read()
	select {
	case err := <-w.answered:
		if !again(err) {
			t.Errorf("answered %v, want what leads to another attempt", err)
		}
		<-c.gone
	case <-time.After(testutil.Scaled(soon)):
		t.Fatal("nobody is told")
	}
}
