// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package waiter

import (
	"errors"
	"io"
	"math"

	"golang.org/x/sys/unix"

	"github.com/seed-cb702d51/tfork-go/internal/sys"
	"github.com/seed-cb702d51/tfork-go/internal/wire"
)

// message is one that came from the caller. Its descriptors are the
// receiver's to close.
type message struct {
	wire.Header
	payload []byte
	fds     []int
	from    unix.Ucred // the caller, with the ids of the kernel's stamp
	// full says that descriptors are missing: our table had no room for them. Linux
	// says so (MSG_CTRUNC), gVisor just leaves them out.
	full bool
}

// errProtocol says that whoever sent a message is not the caller as we know it.
var errProtocol = errors.New("protocol violation")

// next receives one message. io.EOF is the caller's end. A message that breaks
// the protocol ends the process: nothing is known about the other end then.
func (t *thread) next() (message, error) {
	for {
		n, oobn, flags, err := t.receive(t.buf, t.oob)
		if err != nil || n == 0 && fromNobody(t.oob[:oobn]) {
			return message{}, io.EOF
		}
		m, err := t.parse(t.buf[:n], t.oob[:oobn], flags)
		if err == nil {
			return m, nil
		}
		t.exit(exitProtocol)
	}
}

// parse checks the kernel's stamp first, then the bytes.
func (t *thread) parse(msg, oob []byte, flags int) (message, error) {
	fds, stamp, err := control(oob)
	m := message{fds: fds, full: flags&unix.MSG_CTRUNC != 0}
	switch {
	case err != nil:
	case stamp == nil || !t.isCaller(stamp.Pid) || flags&unix.MSG_TRUNC != 0:
		err = errProtocol
	default:
		m.from = unix.Ucred{Pid: t.caller.Pid, Uid: stamp.Uid, Gid: stamp.Gid}
		m.Header, m.payload, err = wire.Parse(msg)
	}
	if err == nil && m.Kind != wire.Spawn && (m.Kind != wire.Signal || len(fds) > 0) {
		err = errProtocol
	}
	if err != nil {
		closeAll(fds)
		return message{}, err
	}
	return m, nil
}

// unpack takes body and descriptors out of their carriers. The descriptors in
// m stay the receiver's to close, and those that are added to them. If some are
// missing m is full.
func (m *message) unpack() (body []byte, fds []int, err error) {
	e, body, err := wire.ParseEnvelope(m.payload)
	if err != nil || m.full {
		return nil, nil, err
	}
	fds = m.fds
	if e.Carrier&wire.BodyInMemfd != 0 {
		if len(fds) == 0 {
			return nil, nil, m.fewer(0, 1)
		}
		if body, err = readBody(fds[0], int(e.Body)); err != nil {
			return nil, nil, err
		}
		fds = fds[1:]
	}
	if e.Carrier&wire.FilesInSocket != 0 {
		if len(fds) != 1 {
			return nil, nil, m.fewer(len(fds), 1)
		}
		if err := m.drain(fds[0], int(e.Files)); err != nil || m.full {
			return nil, nil, err
		}
		fds = m.fds[len(m.fds)-int(e.Files):]
	}
	if len(fds) != int(e.Files) {
		return nil, nil, m.fewer(len(fds), int(e.Files))
	}
	return body, fds, nil
}

// fewer is for another number of descriptors than was announced.
func (m *message) fewer(got, want int) error {
	if got > want {
		return errProtocol
	}
	m.full = true
	return nil
}

// drain receives n descriptors from a socket in which they are waiting, and
// adds them to those of the message.
func (m *message) drain(side, n int) error {
	var b [1]byte
	oob := make([]byte, unix.CmsgSpace(4*maxRights))
	for n > 0 {
		got, oobn, flags, err := recvmsg(side, b[:], oob, unix.MSG_DONTWAIT)
		if err != nil || got != 1 {
			return errProtocol
		}
		fds, err := rights(oob[:oobn])
		m.fds = append(m.fds, fds...)
		n -= len(fds)
		if flags&unix.MSG_CTRUNC != 0 {
			m.full = true
			return nil
		}
		if err != nil || n < 0 {
			return errProtocol
		}
		if len(fds) == 0 {
			return m.fewer(0, n)
		}
	}
	return nil
}

// readBody reads a sealed memfd of exactly n bytes. What is not sealed could
// change under our eyes, or block.
func readBody(fd, n int) ([]byte, error) {
	got, err := unix.FcntlInt(uintptr(fd), unix.F_GET_SEALS, 0)
	if err != nil || got&sys.Seals != sys.Seals {
		return nil, errProtocol
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || st.Size != int64(n) || n > math.MaxInt32 {
		return nil, errProtocol
	}
	body := make([]byte, n)
	if err := sys.ReadAt(fd, body, 0); err != nil {
		return nil, errProtocol
	}
	return body, nil
}
