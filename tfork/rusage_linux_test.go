// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package tfork

import (
	"errors"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-cb702d51/tfork-go/internal/testutil"
)

var funcAllocate = testFunc("allocate", func(*Worker) int {
	// A huge page would be one fault for 512 of these.
	b, err := unix.Mmap(-1, 0, 128<<20, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err == nil {
		err = unix.Madvise(b, unix.MADV_NOHUGEPAGE)
	}
	if err != nil && err != unix.EINVAL { // a kernel without huge pages
		return 2
	}
	for i := 0; i < len(b); i += 4096 {
		b[i] = 1
	}
	return 0
})

// TestStatus_RusageIsTheWorkersOwn: of large and small workers that run beside
// each other, each reports what it used itself.
func TestStatus_RusageIsTheWorkersOwn(t *testing.T) {
	var self unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &self); err != nil {
		t.Fatal(err)
	} else if self.Minflt == 0 {
		t.Skip("this kernel counts no page faults")
	}
	const large = 20_000 // page faults; Maxrss would count what a child of a large caller began with
	tiny := testutil.Tiny(t, 0)
	forEachStrategy(t, func(t *testing.T, m mode) {
		var all sync.WaitGroup
		for range 4 {
			for _, c := range []*Cmd{m.function(funcAllocate), m.command(tiny)} {
				all.Go(func() {
					if err := c.Run(); err != nil {
						t.Error(err)
						return
					}
					ru := c.ProcessState.Status().Rusage()
					if ru == nil {
						t.Errorf("no rusage, source %v", c.ProcessState.Status().Source())
						return
					}
					if isLarge := ru.Minflt > large; isLarge != (c.function != "") {
						t.Errorf("%s reports %d page faults", c.Path, ru.Minflt)
					}
				})
			}
		}
		all.Wait()
		// The large ones have ended: what all children have used is large now.
		waited := map[string]func() (Status, error){
			"at once": func() (Status, error) {
				p := mustStart(t, m.command(tiny))
				return p.Status(true)
			},
			"after a while": func() (Status, error) {
				p, let := startWaiting(t, m, 0)
				time.AfterFunc(20*time.Millisecond, let)
				return p.Status(true)
			},
			"by looking": func() (Status, error) {
				p := mustStart(t, m.command(tiny))
				for {
					if st, err := p.Status(false); !errors.Is(err, ErrRunning) {
						return st, err
					}
					time.Sleep(time.Millisecond)
				}
			},
		}
		for how, wait := range waited {
			if st, err := wait(); err != nil || st.Rusage() == nil || st.Rusage().Minflt > large {
				t.Errorf("a small one that is waited for %s: %v, %v, rusage %+v: too many page faults", how, st, err, st.Rusage())
			}
		}
	})
}
