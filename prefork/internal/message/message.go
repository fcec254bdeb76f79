// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package message

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// Kind is what a message means. Numbers are for ever: during a reload two
// versions of a program talk to each other. Unknown kinds are ignored on a
// supervision channel and refused on a control socket.
type Kind byte

// From a process to the one that supervises it.
const (
	Ready   Kind = 1 // it can serve; the body is empty
	Beat    Kind = 2 // it lives; the body is empty
	Recycle Kind = 3 // it wants a successor; the body is the reason
	Born    Kind = 4 // a master has started a worker; decimal pid
	Failed  Kind = 5 // a master gives up; the body is the reason
	Count   Kind = 6 // a master's wanted number of workers has changed; decimal
	Caged   Kind = 7 // the worker of the last Born has this cgroup; the body is the path
	Buried  Kind = 8 // a worker is gone, with all it started; decimal pid
)

// From the supervising process; Welcome is the first.
const (
	Stop    Kind = 32 // finish and leave; the body is the reason
	Reopen  Kind = 33 // open the log again, or use the file that comes along
	Promote Kind = 34 // this process now holds its place
	Poke    Kind = 35 // look at the listening sockets: somebody died
	Scale   Kind = 36 // add the decimal number in the body to the number of workers
	Welcome Kind = 37 // the body is the strategy that tfork took
	Alone   Kind = 38 // nobody supervises the sender any more: clean up after yourself
)

// On a control socket; Stop, Reopen and Scale too.
const (
	Ping   Kind = 64
	Status Kind = 65 // answered by Row
	Reload Kind = 66
	Done   Kind = 96 // the answer to everything that worked
	Row    Kind = 97 // body: JSON
	Refuse Kind = 98 // the body says why
)

const (
	version = 1
	header  = 8
	// MaxBody is the longest body.
	MaxBody = 64 << 10
)

// Message is one message.
type Message struct {
	Kind Kind
	Body []byte
}

// Errors of this package.
var (
	// ErrTooLong says that a body is longer than [MaxBody].
	ErrTooLong = errors.New("message: body too long")
	// ErrFormat says that the other end does not speak this format.
	ErrFormat = errors.New("message: not a message of version 1")
)

// Append appends the encoded message to b.
func Append(b []byte, m Message) ([]byte, error) {
	if len(m.Body) > MaxBody {
		return b, fmt.Errorf("%w: %d bytes", ErrTooLong, len(m.Body))
	}
	b = append(b, 'P', 'F', version, byte(m.Kind))
	b = binary.BigEndian.AppendUint32(b, uint32(len(m.Body)))
	return append(b, m.Body...), nil
}

// length checks a header and returns the kind and the length of the body.
func length(h []byte) (Kind, int, error) {
	if h[0] != 'P' || h[1] != 'F' || h[2] != version {
		return 0, 0, ErrFormat
	}
	n := binary.BigEndian.Uint32(h[4:])
	if n > MaxBody {
		return 0, 0, fmt.Errorf("%w: %d bytes", ErrTooLong, n)
	}
	return Kind(h[3]), int(n), nil
}

// Read reads one message. The error is io.EOF if there is none, and
// io.ErrUnexpectedEOF if it ends in the middle.
func Read(r io.Reader) (Message, error) {
	var h [header]byte
	if _, err := io.ReadFull(r, h[:]); err != nil {
		return Message{}, err
	}
	kind, n, err := length(h[:])
	if err != nil {
		return Message{}, err
	}
	m := Message{Kind: kind, Body: make([]byte, n)}
	if _, err := io.ReadFull(r, m.Body); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return Message{}, err
	}
	return m, nil
}

// Write writes one message with one call.
func Write(w io.Writer, m Message) error {
	b, err := Append(nil, m)
	if err == nil {
		_, err = w.Write(b)
	}
	return err
}

// JSON makes a message whose body is v. It panics if v cannot be encoded:
// these are types of this program.
func JSON(k Kind, v any) Message {
	body, err := json.Marshal(v)
	if err != nil {
		panic("message: " + err.Error())
	}
	return Message{Kind: k, Body: body}
}

// Text makes a message whose body is s, cut to [MaxBody].
func Text(k Kind, s string) Message {
	return Message{Kind: k, Body: []byte(s[:min(len(s), MaxBody)])}
}
