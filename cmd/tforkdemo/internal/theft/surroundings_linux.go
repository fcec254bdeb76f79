// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package theft

import (
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"
)

func all() ([]Surroundings, error) {
	t := new(thief)
	return []Surroundings{
		{Name: "one goroutine loops in wait4(-1)", Enter: t.start, Taken: func() int { return int(t.taken.Load()) }},
		{Name: "SIGCHLD is ignored", Enter: ignoreSIGCHLD},
	}, nil
}

// thief is what a container's PID 1, a C library or a plugin does: it reaps
// every child of this process, whoever started it.
type thief struct {
	taken atomic.Int64
	stop  atomic.Bool
}

func (t *thief) start() (leave func()) {
	t.stop.Store(false)
	done := make(chan struct{})
	go func() {
		defer close(done)
		t.loop()
	}()
	return func() {
		t.stop.Store(true)
		wake(done)
	}
}

func (t *thief) loop() {
	for !t.stop.Load() {
		switch _, err := syscall.Wait4(-1, nil, 0, nil); err {
		case nil:
			t.taken.Add(1)
		case syscall.ECHILD:
			time.Sleep(20 * time.Microsecond) // no children: look again soon
		}
	}
}

// wake ends a thief that is blocked because there are children: another child
// ends under its hands.
func wake(done <-chan struct{}) {
	bait, err := os.StartProcess("/bin/sh", []string{"sh", "-c", ":"}, &os.ProcAttr{})
	<-done
	if err == nil {
		bait.Wait()    // the thief may have had it: its error says nothing
		bait.Release() // after an error Wait keeps the pidfd
	}
}

// ignoreSIGCHLD makes the kernel throw the children's statuses away.
func ignoreSIGCHLD() (leave func()) {
	signal.Ignore(syscall.SIGCHLD)
	return func() {
		// signal.Reset would leave it ignored; this puts Go's handler back.
		c := make(chan os.Signal, 1)
		signal.Notify(c, syscall.SIGCHLD)
		signal.Stop(c)
	}
}
