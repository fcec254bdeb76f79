// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package tfork

import (
	"errors"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/seed-cb702d51/tfork-go/internal/sys"
	"github.com/seed-cb702d51/tfork-go/pidfd"
)

// descriptor owns a worker's pidfd. It enters it into the netpoller when that
// is needed, which it seldom is: most workers end soon, and are never
// signalled.
type descriptor struct {
	mu   sync.Mutex
	raw  int       // the number while it is not in the netpoller, or -1
	fd   *pidfd.FD // afterwards, until the end
	err  error     // why it is not there: none was given, it is of no use, or os.ErrClosed
	lent int       // how many use the number of fd
}

// errNoPidfd is for a system that gave none.
var errNoPidfd = errors.New("there is no pidfd")

// take takes the pidfd raw, or -1 where there is none.
func (d *descriptor) take(raw int) {
	d.raw = raw
	if raw < 0 {
		d.err = errNoPidfd
	}
}

// get returns the pidfd in the netpoller.
func (d *descriptor) get() (*pidfd.FD, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.getLocked()
}

func (d *descriptor) getLocked() (*pidfd.FD, error) {
	if d.raw >= 0 {
		d.fd, d.err = pidfd.New(d.raw)
		d.raw = -1
	}
	return d.fd, d.err
}

// unentered is the number while the descriptor is not in the netpoller, or -1. It
// may be another descriptor's as soon as it is known: look only.
func (d *descriptor) unentered() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.raw
}

// collectUnentered reaps the worker if it has ended, by a number that cannot be
// given to another descriptor meanwhile.
func (d *descriptor) collectUnentered() (sys.Waited, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.raw < 0 {
		return sys.Waited{}, os.ErrClosed
	}
	return sys.WaitID(unix.P_PIDFD, d.raw, unix.WEXITED|unix.WNOHANG|unix.WALL)
}

// signal reaches the worker or nobody. An error of get has its identity.
func (d *descriptor) signal(sig syscall.Signal) error {
	fd, err := d.get()
	if err != nil {
		return err
	}
	return fd.Signal(sig)
}

func (d *descriptor) lend(f func(uintptr)) error {
	fd, err := d.borrow()
	switch {
	case errors.Is(err, os.ErrClosed):
		return err
	case err != nil:
		return os.ErrNoHandle
	}
	defer d.giveBack(fd)
	return fd.With(func(n int) error { f(uintptr(n)); return nil })
}

func (d *descriptor) borrow() (*pidfd.FD, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	fd, err := d.getLocked()
	if err == nil {
		d.lent++
	}
	return fd, err
}

// giveBack closes fd if close has come meanwhile.
func (d *descriptor) giveBack(fd *pidfd.FD) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lent--
	if d.lent == 0 && d.fd == nil {
		fd.Close()
	}
}

// close is called by the one who collects, after that. It never waits for those
// who use the number, who may be waiting for the end themselves: the last of them
// closes the descriptor.
func (d *descriptor) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	fd := d.fd
	switch {
	case d.raw >= 0:
		unix.Close(d.raw)
	case fd == nil:
		return // there was none, or this is done
	case d.lent == 0:
		fd.Close()
	}
	d.raw, d.fd, d.err = -1, nil, os.ErrClosed
}
