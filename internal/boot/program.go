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
}

// AppendProgram appends the encoded program to dst: the numbers of arguments
// and of environment entries, then the path and all of them, each with its
// length. All numbers have 32 bits, little endian.
func AppendProgram(dst []byte, p Program) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(p.Args)))
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(p.Env)))
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

var errCut = errors.New("launcher's program is cut off")

// ParseProgram decodes a program, which must fill b.
func ParseProgram(b []byte) (Program, error) {
	if len(b) < 8 {
		return Program{}, errCut
	}
	args, env := binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint32(b[4:])
	// Each string takes four bytes at least: no more is allocated than b holds.
	if (uint64(args)+uint64(env)+1)*4 > uint64(len(b)-8) {
		return Program{}, errCut
	}
	all := make([]string, 0, 1+args+env)
	for rest := b[8:]; ; {
		if len(all) == cap(all) {
			if len(rest) > 0 {
				return Program{}, fmt.Errorf("launcher's program has %d bytes too many", len(rest))
			}
			return Program{Path: all[0], Args: all[1 : 1+args], Env: all[1+args:]}, nil
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
