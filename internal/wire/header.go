// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Version is that of the protocol; both ends must have the same.
const Version = 1

// Kind says what a message is.
type Kind uint8

// The kinds, with their direction.
const (
	// Ready is the waiter's first message: it serves.
	Ready Kind = iota + 1
	// Spawn asks the waiter to start a worker.
	Spawn
	// Started answers Spawn: the worker runs.
	Started
	// Refused answers Spawn: nothing was started.
	Refused
	// Exited tells the caller how a worker ended.
	Exited
	// Signal asks the waiter to signal a worker.
	Signal
	// Signaled answers Signal.
	Signaled
)

// String names the kind for error texts.
func (k Kind) String() string {
	names := [...]string{"", "ready", "spawn", "started", "refused", "exited", "signal", "signaled"}
	if k == 0 || int(k) >= len(names) {
		return fmt.Sprintf("kind %d", uint8(k))
	}
	return names[k]
}

// HeaderLen is the size of the header that begins every message.
const HeaderLen = 16

// MaxMessage is the longest message that either end sends or takes in one
// piece; a longer request puts its body into a memfd.
const MaxMessage = 32 << 10

// MaxInline is the longest body that travels in the message itself.
const MaxInline = MaxMessage - HeaderLen - envelopeLen

// MaxAnswer is room for any message from a waiter.
const MaxAnswer = 512

// MaxPidFDs is how many pidfds one answer carries at most.
const MaxPidFDs = 2

// MaxBody is the longest body of a request, in a memfd. The kernel itself
// takes at most 6 MiB of arguments and environment (execve(2)).
const MaxBody = 8 << 20

// Errors of the Parse functions, for errors.Is.
var (
	// ErrVersion says that the message is of another version of the protocol.
	ErrVersion = errors.New("protocol version differs")
	// ErrMalformed says that the bytes are no message of this protocol.
	ErrMalformed = errors.New("malformed message")
)

// Header begins every message.
type Header struct {
	// Kind says what the payload is.
	Kind Kind
	// ID names the request: the answers to it carry the same. Ready has 0.
	ID uint64
}

// Append writes the header of a message whose payload has n bytes.
func (h Header) Append(b []byte, n int) []byte {
	b = append(b, Version, byte(h.Kind), 0, 0)
	b = binary.LittleEndian.AppendUint32(b, uint32(HeaderLen+n))
	return binary.LittleEndian.AppendUint64(b, h.ID)
}

// Parse splits a whole message into header and payload. The payload shares
// msg's memory.
func Parse(msg []byte) (Header, []byte, error) {
	if len(msg) < HeaderLen {
		return Header{}, nil, malformed("%d bytes are less than a header", len(msg))
	}
	if msg[0] != Version {
		return Header{}, nil, fmt.Errorf("%w: %d, want %d", ErrVersion, msg[0], Version)
	}
	h := Header{Kind: Kind(msg[1]), ID: binary.LittleEndian.Uint64(msg[8:])}
	if h.Kind < Ready || h.Kind > Signaled || h.Kind == Ready && h.ID != 0 {
		return Header{}, nil, malformed("%v with ID %d", h.Kind, h.ID)
	}
	if msg[2] != 0 || msg[3] != 0 {
		return Header{}, nil, malformed("reserved bytes %#x %#x", msg[2], msg[3])
	}
	if n := binary.LittleEndian.Uint32(msg[4:]); int64(n) != int64(len(msg)) {
		return Header{}, nil, malformed("length %d of %d bytes", n, len(msg))
	}
	return h, msg[HeaderLen:], nil
}

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrMalformed}, args...)...)
}
