// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package orphan

import (
	"context"
	"fmt"
	"os/exec"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-cb702d51/tfork-go/internal/testutil"
)

// letsGo is a subreaper that watches an orphan by pidfd, and lets it go when it
// has long been a zombie: no signal tells of that.
var letsGo = testutil.Helper("orphan: lets go", func([]string) int {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return complain("prctl: %v", err)
	}
	out, err := exec.Command("/bin/sh", "-c", "sleep 0.1 >/dev/null & echo $!").Output()
	if err != nil {
		return complain("orphan: %v", err)
	}
	var pid int
	fmt.Sscan(string(out), &pid)
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return complain("pidfd_open: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	reaped := make(chan Reaped, 1)
	go Run(ctx, nil, func(r Reaped) { reaped <- r })
	if !testutil.PollFor(patience, func() bool { return isZombie(pid) }) {
		return complain("the orphan lives on")
	}
	select {
	case r := <-reaped:
		return complain("reaped what somebody watches: %+v", r)
	case <-time.After(2 * Grace): // the time in which it would be wrong
	}
	unix.Close(fd)
	select {
	case r := <-reaped:
		if r.Pid != pid {
			return complain("reaped %+v, want pid %d", r, pid)
		}
	case <-time.After(testutil.Scaled(patience)):
		return complain("not reaped after it was let go")
	}
	return 0
})

func TestRun_ReapsWhatWasLetGo(t *testing.T) {
	testutil.NeedPeerCredentials(t) // as a server does, whose orphans these would be
	testutil.NeedFeature(t, "5.4", possible)
	cmd := exec.Command(testutil.Exe())
	cmd.Env = testutil.HelperEnv(letsGo)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}
