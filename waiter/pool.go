// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package waiter

import "sync"

// Pool holds the waiters of one calling process: one that is shared, started
// when it is first needed, and those that serve a single worker. The zero
// value is ready; a Pool must not be copied after its first use.
//
// Its methods may be called by many goroutines at once, and starts run in
// parallel.
type Pool struct {
	mu     sync.Mutex
	shared *conn
}

// Spawn starts a worker and returns once it runs, that is, after its execve
// has succeeded. When the worker could not be started, the error is the
// syscall.Errno that syscall.StartProcess would have returned, bare; what a
// waiter cannot do at all is a [*FieldError]; every other error is about the
// waiter itself. If the waiter died during the call, the error is [ErrGone]: it
// cannot be told whether the worker was started.
//
// A caller whose credentials, groups, capabilities, seccomp filters, session,
// process group, root directory, resource limits, nice value or ignored
// signals have changed gets a new waiter without noticing.
//
// Spawn blocks as execve does. A waiter that something has stopped is
// continued after a second; also one whose workers live, so that their ends
// are seen.
func (p *Pool) Spawn(r *Request) (*Worker, error) { return p.spawn(r) }

// CloseIdle ends the shared waiter if it serves no worker, and returns when it
// is gone and reaped. The next Spawn starts a new one. A waiter that serves
// workers stays.
func (p *Pool) CloseIdle() { p.closeIdle() }
