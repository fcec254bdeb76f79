// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package tfork

import (
	"os"

	"golang.org/x/sys/unix"
)

// eventWriter is the writing end of an event fd; the zero value is unarmed.
type eventWriter struct {
	fd    int
	armed bool
}

// newEvent makes an event fd. A pipe, unlike an eventfd, stays readable when
// its byte was read.
func newEvent() (*os.File, eventWriter, error) {
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return nil, eventWriter{}, os.NewSyscallError("pipe2", err)
	}
	return os.NewFile(uintptr(p[0]), "tfork event"), eventWriter{fd: p[1], armed: true}, nil
}

// fire makes the event fd readable, once. The byte is for those who poll for
// POLLIN alone. The write cannot block; if the reader is gone it says EPIPE,
// and the runtime keeps SIGPIPE of descriptors above 2 away.
func (e *eventWriter) fire() {
	if !e.armed {
		return
	}
	e.armed = false
	unix.Write(e.fd, []byte{0})
	unix.Close(e.fd)
}
