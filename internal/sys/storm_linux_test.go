// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package sys

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/seed-cb702d51/tfork-go/internal/testutil"
)

// TestWaitID_StormOfSignals: no signal ends a wait.
func TestWaitID_StormOfSignals(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	p, err := os.StartProcess("/bin/sh", []string{"sh", "-c", "read x; exit 7"}, &os.ProcAttr{Files: []*os.File{r, nil, nil}})
	r.Close()
	if err != nil {
		t.Fatal(err)
	}
	defer p.Release()
	testutil.Storm(t, func() {
		if got, err := WaitID(unix.P_PID, p.Pid, unix.WEXITED); err != nil || got.Pid != p.Pid || got.Status != 7<<8 {
			t.Errorf("WaitID = %+v, %v, want the end of %d", got, err, p.Pid)
		}
		p.Kill() // of no effect unless the wait has ended too early
	}, func(arrived int) {
		if arrived == 100 {
			w.Close() // the shell ends
		}
	})
}
