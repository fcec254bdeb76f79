// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package wire

import "encoding/binary"

// Carrier says how the parts of a request travel that may be too large for
// one message.
type Carrier uint8

// The carriers; a request may use both.
const (
	// BodyInMemfd: the body is the content of a sealed memfd, the first
	// descriptor of the message.
	BodyInMemfd Carrier = 1 << iota
	// FilesInSocket: the descriptors come out of a socket, the next descriptor
	// of the message.
	FilesInSocket
)

// MaxFiles is how many descriptors one request may carry. Linux has no process
// with more (fs.nr_open is 1048576 by default).
const MaxFiles = 1 << 20

// Envelope begins the payload of [Spawn]; the body follows, or the memfd has it.
type Envelope struct {
	// Carrier says what is not in the message itself.
	Carrier Carrier
	// Files is the number of descriptors, without the carriers.
	Files uint32
	// Body is the length of the body.
	Body uint32
}

const envelopeLen = 12

// Append writes header and envelope. The body, if it travels in the message,
// must be appended to them.
func (e Envelope) Append(b []byte, id uint64) []byte {
	n := envelopeLen
	if e.Carrier&BodyInMemfd == 0 {
		n += int(e.Body)
	}
	b = Header{Spawn, id}.Append(b, n)
	b = append(b, byte(e.Carrier), 0, 0, 0)
	b = binary.LittleEndian.AppendUint32(b, e.Files)
	return binary.LittleEndian.AppendUint32(b, e.Body)
}

// ParseEnvelope splits the payload of [Spawn]. body is nil if a memfd has it.
func ParseEnvelope(payload []byte) (e Envelope, body []byte, err error) {
	r := reader{b: payload}
	e = Envelope{Carrier: Carrier(r.u8())}
	reserved := r.take(3)
	e.Files, e.Body = r.u32(), r.u32()
	if r.bad {
		return Envelope{}, nil, r.done(Spawn)
	}
	if e.Carrier > BodyInMemfd|FilesInSocket || reserved[0]|reserved[1]|reserved[2] != 0 {
		return Envelope{}, nil, malformed("spawn: carrier %#x, reserved %v", e.Carrier, reserved)
	}
	if e.Files > MaxFiles || e.Body > MaxBody {
		return Envelope{}, nil, malformed("spawn: %d files, %d bytes of body", e.Files, e.Body)
	}
	if e.Carrier&BodyInMemfd == 0 {
		body = r.take(int(e.Body))
	}
	if err := r.done(Spawn); err != nil {
		return Envelope{}, nil, err
	}
	return e, body, nil
}
