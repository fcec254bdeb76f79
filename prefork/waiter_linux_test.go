// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package prefork

import (
	"fmt"
	"os"
	"syscall"
	"testing"

	"github.com/seed-cb702d51/tfork-go/internal/testutil"
	"github.com/seed-cb702d51/tfork-go/pidfd"
)

// killWaiterOf kills the waiter between a process and the one that supervises
// it, and waits until it is gone.
func killWaiterOf(s *stage, name, supervising string) {
	s.t.Helper()
	waiter := testutil.ParentOf(s.pid(name))
	if got, want := testutil.ParentOf(waiter), s.pid(supervising); got != want {
		s.t.Fatalf("the parent of %s is %d, whose parent is %d: want %s, %d", name, waiter, got, supervising, want)
	}
	if err := testutil.Kill(waiter, syscall.SIGKILL); err != nil {
		s.t.Fatal(err)
	}
	testutil.Poll(s.t, patience, "the waiter is gone", func() bool { return !testutil.Exists(waiter) })
}

// TestServer_WaiterKilled: where the kernel keeps exit statuses, nothing is
// lost with a waiter. The workers live on, their ends are told truly, and their
// successors have a new waiter.
func TestServer_WaiterKilled(t *testing.T) {
	testutil.NeedFeature(t, "6.15", pidfd.HaveExitInfo)
	t.Setenv("TFORK_STRATEGY", "waiter")
	s := start(t, "children = 2\nbackoff-increment = 0", httpService)
	old := s.pids()
	killWaiterOf(s, "worker-http-0", "master-http")
	killWaiterOf(s, "master-http", "supervisor")
	s.kill(syscall.SIGSEGV, "worker-http-0") // Go makes exit status 2 of it
	s.logged("ended", fmt.Sprint("child-pid=", old["prefork-worker-http-0"]), `outcome="exit status 2"`, "restart=true")
	s.renewed(old, "worker-http-0")
	s.same(old, "supervisor", "master-http", "worker-http-1")
	s.kill(syscall.SIGKILL, "master-http")
	s.logged("ended", fmt.Sprint("child-pid=", old["prefork-master-http"]), `outcome="signal 9"`, "restart=true")
	s.renewed(old, "master-http", "worker-http-0", "worker-http-1")
	for _, link := range [][2]string{{"worker-http-0", "master-http"}, {"master-http", "supervisor"}} {
		if waiter := testutil.ParentOf(s.pid(link[0])); testutil.ParentOf(waiter) != s.pid(link[1]) {
			t.Errorf("%s has no waiter again", link[0])
		}
	}
	s.unique()
	s.see(httpService)
}

// TestServer_StatusNotAvailable: where the kernel keeps none, the status of a
// worker goes with its waiter. That is a death, with a successor; and a process
// that may live on is killed before it has one, so that nobody is there twice.
func TestServer_StatusNotAvailable(t *testing.T) {
	t.Setenv("TFORK_STRATEGY", "waiter")
	for _, tt := range []struct {
		name, sandbox string
		ends          func(s *stage, name string) // what the process ends by
	}{
		// Its end is seen, not how it ended.
		{"after its end", "no-exit-info", func(s *stage, name string) { s.kill(syscall.SIGKILL, name) }},
		// Nobody can tell whether it lives.
		{"at once", "linux-4", func(*stage, string) {}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.sandbox == "no-exit-info" { // has pidfds
				testutil.NeedFeature(t, "5.4", pidfd.HaveSet)
			}
			t.Setenv("TEST_SANDBOX", tt.sandbox)
			s := start(t, "children = 2\nbackoff-increment = 0", httpService)
			for _, link := range [][2]string{{"worker-http-0", "master-http"}, {"master-http", "supervisor"}} {
				old := s.pids()
				killWaiterOf(s, link[0], link[1])
				tt.ends(s, link[0])
				s.logged("ended", fmt.Sprint("child-pid=", old["prefork-"+link[0]]), `outcome="status not available"`, "restart=true", "level=ERROR")
				s.renewed(old, link[0], "worker-http-0")
				testutil.Poll(t, patience, link[0]+" is gone", func() bool { return !testutil.Alive(old["prefork-"+link[0]]) })
				s.unique()
			}
			s.ready()
			testutil.Poll(t, patience, "nobody is there twice", func() bool { return len(s.table()) == 4 })
			s.see(httpService)
		})
	}
}

// TestServer_ThiefInTheMaster: a service may hold code that waits for all
// children. It takes no status away.
func TestServer_ThiefInTheMaster(t *testing.T) {
	forEachStrategy(t, func(t *testing.T) {
		if os.Getenv("TFORK_STRATEGY") == "direct" {
			testutil.NeedFeature(t, "6.15", pidfd.HaveExitInfo)
		}
		s := start(t, "children = 2\nbackoff-increment = 0", thievingService)
		for _, code := range []int{7, 0} {
			s.get(thievingService, fmt.Sprint("/exit?code=", code))
			s.logged("ended", fmt.Sprintf(`outcome="exit status %d"`, code), fmt.Sprintf("restart=%t", code != 0))
			s.see(thievingService)
		}
		s.get(thievingService, "/exit?code=9")
		s.logged("ended", `outcome="exit status 9"`, "restart=true")
	})
}
