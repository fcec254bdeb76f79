// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package prefork

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/seed-cb702d51/tfork-go/prefork/internal/message"
)

const (
	// memoryInterval is how often a worker looks at its memory.
	memoryInterval = time.Second
	// askAgain is when a worker that asked for its replacement asks again: the
	// last one may not have become ready.
	askAgain = 5 * time.Second
)

// lifetime is when this very worker is to be replaced: limits lowered by a
// random part, so that workers which started together take turns. Zero is never.
type lifetime struct {
	requests int64
	age      time.Duration
	memory   uint64
}

// lifetime draws the limits of this worker.
func (w *worker) lifetime() lifetime {
	st := w.boot.Settings
	lowered := func(limit float64) float64 { return limit * (1 - st.RecycleJitter*rand.Float64()) }
	l := lifetime{
		requests: int64(lowered(float64(st.MaxRequests))),
		age:      time.Duration(lowered(float64(st.MaxAge))),
		memory:   uint64(lowered(float64(st.MaxMemory))),
	}
	if st.MaxRequests > 0 {
		l.requests = max(1, l.requests)
	}
	return l
}

// recycle asks for a replacement when a limit is reached, and goes on asking
// until the process ends. The worker serves until its successor is ready. Each of
// those would reach a memory limit below its own size at once, and nothing else
// would tell why.
func (w *worker) recycle(l lifetime, served <-chan struct{}) {
	if memory := residentMemory(); l.memory > 0 && memory >= l.memory {
		w.log.Warn("max-memory is below the size of a worker that has served nobody", "bytes", memory, "limit", l.memory)
	}
	reason := w.reached(l, served)
	again := time.NewTicker(askAgain)
	defer again.Stop()
	for ; ; <-again.C {
		w.channel.send(message.Text(message.Recycle, reason))
	}
}

// reached waits until the worker has reached one of its limits, and says which.
func (w *worker) reached(l lifetime, served <-chan struct{}) string {
	var old, look <-chan time.Time
	if l.age > 0 {
		timer := time.NewTimer(l.age - time.Since(w.started))
		defer timer.Stop()
		old = timer.C
	}
	if l.memory > 0 {
		tick := time.NewTicker(memoryInterval)
		defer tick.Stop()
		look = tick.C
	}
	for {
		select {
		case <-served:
			return fmt.Sprintf("%d requests", l.requests)
		case <-old:
			return fmt.Sprintf("%v of age", l.age)
		case <-look:
			if memory := residentMemory(); memory >= l.memory {
				return fmt.Sprintf("%d bytes of memory", memory)
			}
		}
	}
}
