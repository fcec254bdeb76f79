// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package restart

import "time"

// Next is the backoff arithmetic of Samba's prefork model (spec §3.9): linear,
// with a ceiling. It never overflows; both parameters must not be negative.
func Next(delay, increment, maximum time.Duration) time.Duration {
	if delay >= maximum || increment > maximum-delay {
		return maximum
	}
	return delay + increment
}

// Backoff says how the delays of a [Chain] grow. The zero value never waits.
type Backoff struct {
	// Increment is added at each death, up to Maximum.
	Increment, Maximum time.Duration
	// Jitter lengthens each delay by a random part of it, 0 to this fraction,
	// so that processes which died together do not come back together. 0 is off.
	Jitter float64
	// ResetAfter is the length of a run after which the delays start again at
	// zero. 0 is off: the reference never resets.
	ResetAfter time.Duration
}

// Chain is the history of delays of one supervised place, across all the
// processes that take it. The zero value has had no death.
type Chain struct{ delay time.Duration }

// Died returns how long to wait until the successor starts: nothing after the
// first death. ran is how long the process lived; random (in [0,1)) feeds the
// jitter.
func (c *Chain) Died(b Backoff, ran time.Duration, random float64) time.Duration {
	if b.ResetAfter > 0 && ran >= b.ResetAfter {
		c.delay = 0
	}
	wait := c.delay
	c.delay = Next(c.delay, b.Increment, b.Maximum)
	return wait + time.Duration(float64(wait)*b.Jitter*random)
}

// Window is a limit on deaths in a span of time. The zero value has none.
type Window struct {
	// Limit is how many deaths within Span are still tolerated; 0 is no limit.
	Limit int
	Span  time.Duration

	deaths []time.Time
}

// Died notes a death and tells whether the limit is exceeded by it.
func (w *Window) Died(now time.Time) (exceeded bool) {
	if w.Limit <= 0 {
		return false
	}
	old := 0
	for old < len(w.deaths) && now.Sub(w.deaths[old]) >= w.Span {
		old++
	}
	w.deaths = append(w.deaths[old:], now)
	return len(w.deaths) > w.Limit
}
