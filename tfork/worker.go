// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package tfork

import (
	"os"
	"sync"
)

// Worker is what a worker function knows about itself. It is valid in the
// process that runs the function.
type Worker struct {
	// Name is the registered name.
	Name string

	// Args are the arguments given to [Func].
	Args []string

	// Payload is Cmd.Payload, whole; nil if that was empty. The function owns
	// it and may change it. A large one (over 256 KiB) is mapped, not copied:
	// it stays for the life of the process.
	Payload []byte

	// Files are the Cmd's ExtraFiles, owned by the function; nil where an
	// entry was nil. They are close-on-exec here: the function's own children
	// get them only if it hands them on.
	Files []*os.File

	lifeline lifelineEnd
	once     sync.Once
	gone     chan struct{}
}

// ParentGone returns a channel that is closed when the process that started
// this worker is gone, under every strategy, whether it exited, was killed or
// executed another program. It never closes before that. The first call starts
// a goroutine; it blocks a thread only where the network poller takes no more
// descriptors (epoll(7), max_user_watches).
func (w *Worker) ParentGone() <-chan struct{} {
	w.once.Do(func() {
		w.gone = make(chan struct{})
		go func() {
			defer close(w.gone)
			w.lifeline.await()
		}()
	})
	return w.gone
}
