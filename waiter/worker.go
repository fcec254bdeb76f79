// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package waiter

import (
	"os"
	"runtime"
	"sync"
	"syscall"
)

// Worker is a started worker. Its methods may be called by many goroutines.
type Worker struct {
	conn *conn
	id   uint64
	pid  int

	// answered gets nil when the worker runs, or why it does not. It is the
	// only thing that is used before Spawn has returned.
	answered chan error
	done     chan struct{}

	userPidFD int // for SysProcAttr.PidFD; set before answered, or -1

	mu     sync.Mutex
	pidfd  int // -1: none, or taken
	unused runtime.Cleanup
	status syscall.WaitStatus
	rusage *syscall.Rusage
	err    error
}

// Pid returns the worker's process id, as the caller sees it. After Done it may
// belong to another process.
func (w *Worker) Pid() int { return w.pid }

// WaiterPid returns the process id of the waiter, the worker's parent.
func (w *Worker) WaiterPid() int { return w.conn.pid() }

// TakePidFD gives a pidfd of the worker, close-on-exec and in blocking mode:
// the taker closes it. It was made while the worker could not have been
// reaped, so it is the worker's. ok is false where the kernel (5.3) or a
// sandbox has none, when it was taken before, and when the worker's status is
// known already: there is nothing left to watch then.
func (w *Worker) TakePidFD() (fd int, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	fd, w.pidfd = w.pidfd, -1
	w.unused.Stop()
	return fd, fd >= 0
}

// Done returns a channel that is closed when Result answers at once.
func (w *Worker) Done() <-chan struct{} { return w.done }

// Result returns how the worker ended: the raw wait status and the resources
// it used, as wait4(2) gave them to the waiter. It blocks until Done is closed,
// and answers the same every time. The error is [ErrGone] and nothing else.
func (w *Worker) Result() (syscall.WaitStatus, *syscall.Rusage, error) {
	<-w.done
	return w.status, w.rusage, w.err
}

// Signal sends sig through the waiter, which knows whether it has reaped the
// worker: a recycled pid is never hit. It blocks for the waiter's answer.
// Errors: os.ErrProcessDone, [ErrGone], or the *os.SyscallError of kill(2).
// Where there is a pidfd, pidfd_send_signal is the shorter way.
func (w *Worker) Signal(sig syscall.Signal) error {
	select {
	case <-w.done:
		if w.err != nil {
			return w.err
		}
		return os.ErrProcessDone
	default:
		return w.conn.signal(w, sig)
	}
}

// finish notes the result and tells everyone. It is called once, by the
// connection that owns the worker.
func (w *Worker) finish(status syscall.WaitStatus, rusage *syscall.Rusage, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.status, w.rusage, w.err = status, rusage, err
	if err == nil {
		// Nobody needs to watch an end that is known.
		closePidFD(w.pidfd)
		w.pidfd = -1
	} else if w.pidfd >= 0 {
		// It is all there is now; but perhaps nobody will ever ask.
		w.unused = runtime.AddCleanup(w, closePidFD, w.pidfd)
	}
	close(w.done)
}
