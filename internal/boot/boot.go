// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package boot

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// Limits of a record.
const (
	// MaxName is the longest name of a function, in bytes.
	MaxName = 255
	// MaxSize is more than the longest record.
	MaxSize = headerSize + MaxName + 1
	// CommSize is how much of a title the kernel keeps as a thread's name.
	CommSize = 15
)

// The layout, little endian:
//
//	 0  8  magic, with the version as its last byte
//	 8  8  length of the payload
//	16  4  number of extra files
//	20  4  flags: 1 joins
//	24  4  length of the name
//	28  n  name
const (
	headerSize = 28
	flagJoins  = 1
)

var magic = []byte("tfork-b\x01")

// Record says which function a worker runs, and what comes with it.
type Record struct {
	Name    string
	Files   int    // extra files, from descriptor 3 on
	Payload uint64 // bytes
	Joins   bool   // a cgroup, before anything else
}

// Append appends the encoded record to dst.
func Append(dst []byte, r Record) []byte {
	dst = append(dst, magic...)
	dst = binary.LittleEndian.AppendUint64(dst, r.Payload)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(r.Files))
	flags := uint32(0)
	if r.Joins {
		flags = flagJoins
	}
	dst = binary.LittleEndian.AppendUint32(dst, flags)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(r.Name)))
	return append(dst, r.Name...)
}

// Parse decodes a record. What follows it in b is ignored.
func Parse(b []byte) (Record, error) {
	if len(b) < headerSize || !bytes.Equal(b[:8], magic) {
		return Record{}, errors.New("not a boot record of this version")
	}
	payload := binary.LittleEndian.Uint64(b[8:])
	files := binary.LittleEndian.Uint32(b[16:])
	flags := binary.LittleEndian.Uint32(b[20:])
	name := binary.LittleEndian.Uint32(b[24:])
	switch {
	case payload > math.MaxInt64/2:
		return Record{}, fmt.Errorf("boot record: payload of %d bytes", payload)
	case files > 1<<20:
		return Record{}, fmt.Errorf("boot record: %d files", files)
	case flags&^flagJoins != 0:
		return Record{}, fmt.Errorf("boot record: unknown flags %#x", flags)
	case name == 0 || name > MaxName || int(name) > len(b)-headerSize:
		return Record{}, fmt.Errorf("boot record: name of %d bytes", name)
	}
	return Record{
		Name:    string(b[headerSize : headerSize+int(name)]),
		Files:   int(files),
		Payload: payload,
		Joins:   flags&flagJoins != 0,
	}, nil
}
