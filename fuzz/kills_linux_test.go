// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package fuzz

import (
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-cb702d51/tfork-go/internal/testutil"
	"github.com/seed-cb702d51/tfork-go/waiter"
)

// killLog says when waiters of this process were killed: what one breaks off that
// nobody has killed ends by itself, which is a bug.
type killLog struct {
	mu      sync.Mutex
	deaths  []death
	settled sync.WaitGroup
}

// death is the time in which a waiter that was killed can break off a start: from
// the kill until no start can reach it any more, which is zero until that is so.
type death struct{ from, to time.Time }

// kill kills waiters, and tells how many. The program, which ends at once, is
// started in the background when they are gone: the shared waiter that takes it
// is another one, and the one of every later start, too.
func (l *killLog) kill(program string, waiters ...int) (killed int) {
	for _, pid := range waiters {
		l.mu.Lock()
		i := len(l.deaths)
		l.deaths = append(l.deaths, death{from: time.Now()})
		l.mu.Unlock()
		if kill(pid, unix.SIGKILL) != nil {
			l.over(i) // it had ended by itself
			continue
		}
		killed++
		l.settled.Go(func() {
			testutil.PollFor(patience, func() bool { return !testutil.Alive(pid) && testutil.Threads(pid) <= 1 })
			c := through(program)
			err := c.Start() // broken off by the next kill, it says the same
			l.over(i)
			if err == nil {
				c.Wait()
			}
		})
	}
	return killed
}

func (l *killLog) over(i int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.deaths[i].to = time.Now()
}

// during counts the killed waiters that can have broken off what was under way
// between two moments.
func (l *killLog) during(begin, end time.Time) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, d := range l.deaths {
		if !d.from.After(end) && (d.to.IsZero() || !begin.After(d.to)) {
			n++
		}
	}
	return n
}

// refusal tells whether an error of Start, which began at that moment, is that
// of a waiter that was killed meanwhile. A start that tried several waiters has
// lost as many to kills.
func (l *killLog) refusal(err error, begin time.Time) bool {
	killed := l.during(begin, time.Now())
	if strings.Contains(err.Error(), "4 waiters in a row could not be used: the waiter") {
		return killed >= 4
	}
	return strings.Contains(err.Error(), waiter.ErrGone.Error()) && killed > 0
}
