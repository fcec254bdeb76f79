// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package boot

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Program is what a launcher executes once it has joined its cgroup. It is the
// payload of its record.
type Program struct {
	Path      string
	Args, Env []string
	// Ignore are the signals that the program begins with ignored: bit n-1 for
	// signal n. The launcher's own runtime has taken them by then.
	Ignore uint64
}

// AppendProgram appends the encoded program to dst: the numbers of arguments
// and of environment entries, the signals, then the path and all of the strings,
// each with its length. All numbers are little endian; the signals have 64 bits,
// the others 32.
func AppendProgram(dst []byte, p Program) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(p.Args)))
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(p.Env)))
	dst = binary.LittleEndian.AppendUint64(dst, p.Ignore)
	dst = appendString(dst, p.Path)
	for _, list := range [][]string{p.Args, p.Env} {
		for _, s := range list {
			dst = appendString(dst, s)
		}
	}
	return dst
}

func appendString(dst []byte, s string) []byte {
	return append(binary.LittleEndian.AppendUint32(dst, uint32(len(s))), s...)
}

// programHeader is the size of what comes before the strings.
const programHeader = 16

var errCut = errors.New("launcher's program is cut off")

// ParseProgram decodes a program, which must fill b.
func ParseProgram(b []byte) (Program, error) {
	if len(b) < programHeader {
		return Program{}, errCut
	}
	args, env := binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint32(b[4:])
	ignore := binary.LittleEndian.Uint64(b[8:])
	// Each string takes four bytes at least: no more is allocated than b holds.
	if (uint64(args)+uint64(env)+1)*4 > uint64(len(b)-programHeader) {
		return Program{}, errCut
	}
	all := make([]string, 0, 1+args+env)
	for rest := b[programHeader:]; ; {
		if len(all) == cap(all) {
			if len(rest) > 0 {
				return Program{}, fmt.Errorf("launcher's program has %d bytes too many", len(rest))
			}
			return Program{Path: all[0], Args: all[1 : 1+args], Env: all[1+args:], Ignore: ignore}, nil
		}
		if len(rest) < 4 {
			return Program{}, errCut
		}
		n := binary.LittleEndian.Uint32(rest)
		if uint64(n) > uint64(len(rest)-4) {
			return Program{}, errCut
		}
		all = append(all, string(rest[4:4+n]))
		rest = rest[4+n:]
	}
}
