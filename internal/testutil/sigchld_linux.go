// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package testutil

import (
	"os"
	"os/signal"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// SIGCHLDSetups are the surroundings in which a status must stay true.
var SIGCHLDSetups = []struct {
	Name  string
	Setup func(t testing.TB)
}{
	{"default", func(testing.TB) {}},
	{"ignored", IgnoreSIGCHLD},
	{"reap-all handler", ReapAllOnSIGCHLD},
	{"wait4 thief", Thief},
}

// ForEachSIGCHLD runs f as a subtest under each of [SIGCHLDSetups].
func ForEachSIGCHLD(t *testing.T, f func(t *testing.T)) {
	for _, s := range SIGCHLDSetups {
		t.Run(s.Name, func(t *testing.T) {
			s.Setup(t)
			f(t)
		})
	}
}

// IgnoreSIGCHLD ignores SIGCHLD until the test's end.
func IgnoreSIGCHLD(t testing.TB) {
	signal.Ignore(unix.SIGCHLD)
	t.Cleanup(RestoreSIGCHLD)
}

// RestoreSIGCHLD puts the runtime's handler back. signal.Reset does not:
// it leaves an ignored SIGCHLD ignored.
func RestoreSIGCHLD() {
	c := make(chan os.Signal, 1)
	signal.Notify(c, unix.SIGCHLD)
	signal.Stop(c)
}

// ReapAllOnSIGCHLD reaps whatever there is at every SIGCHLD, as a container's
// PID 1 does, until the test's end.
func ReapAllOnSIGCHLD(t testing.TB) {
	c := make(chan os.Signal, 64)
	signal.Notify(c, unix.SIGCHLD)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range c {
			for {
				pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil)
				if pid <= 0 && err != unix.EINTR {
					break
				}
			}
		}
	}()
	t.Cleanup(func() {
		signal.Stop(c)
		close(c)
		<-done
	})
}

// Thief takes every status it can get with a blocking wait4(-1) in a loop,
// until the test's end.
func Thief(t testing.TB) {
	stop := make(chan struct{})
	var thief sync.WaitGroup
	thief.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			if _, err := unix.Wait4(-1, nil, 0, nil); err == unix.ECHILD {
				// No child at all: look again very soon, without a busy loop.
				unix.Nanosleep(&unix.Timespec{Nsec: 20_000}, nil)
			}
		}
	})
	t.Cleanup(func() {
		close(stop)
		// A thief that is blocked goes on when any child ends.
		if p, err := os.StartProcess("/bin/true", []string{"true"}, &os.ProcAttr{}); err == nil {
			thief.Wait()
			p.Wait()    // the thief may have had it: its error says nothing
			p.Release() // after an error Wait keeps the pidfd
		}
	})
}
