// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"encoding/binary"
	"slices"
)

// Flags are the yes-or-no parts of a [Request].
type Flags uint32

// The flags. Those without a comment are the fields of syscall.SysProcAttr of
// the same name.
const (
	// Setsid and the next three are booleans of the same name.
	Setsid Flags = 1 << iota
	Setpgid
	Setctty
	Noctty
	// Foreground: the descriptor of the terminal is among the files.
	Foreground
	// HasCredential: Uid, Gid and Groups are meant.
	HasCredential
	NoSetGroups
	// HasUIDMap and HasGIDMap: the mapping is not nil, but may be empty.
	HasUIDMap
	HasGIDMap
	GidMappingsEnableSetgroups
	// UseCgroupFD: the descriptor of the cgroup is among the files.
	UseCgroupFD
	// WantPidFD: the user asked for a pidfd of its own.
	WantPidFD
	// HasCwd: the caller's working directory is among the files. Without it
	// Dir is absolute, or the waiter's own inherited directory is meant.
	HasCwd

	allFlags = HasCwd<<1 - 1
)

// IDMap is one line of a user namespace's mapping, as in
// syscall.SysProcIDMap.
type IDMap struct {
	// Container and Host are the first ids of a range of Size.
	Container, Host, Size int64
}

// Request is the body of [Spawn]: what to start, and how. The files travel
// beside it, in this order: the working directory (HasCwd), one for each true
// element of Slots, the terminal (Foreground), the cgroup (UseCgroupFD).
type Request struct {
	// Path, Dir and Chroot may be relative, as for execve and chdir.
	Path, Dir, Chroot string
	// Args and Env are the whole lists, with argv[0].
	Args, Env []string
	// Slots says for each descriptor number of the worker whether it is open.
	Slots []bool

	// Flags are the yes-or-no parts; some say that a field below is meant.
	Flags Flags
	// Ctty is a descriptor number of the worker (Setctty); Pgid goes with
	// Setpgid.
	Ctty, Pgid int32
	// DeathSignal is what the waiter sends when the caller ends, or 0.
	DeathSignal uint32
	// Cloneflags and Unshareflags are those of clone(2) and unshare(2).
	Cloneflags, Unshareflags uint64
	// UID, GID and Groups go with HasCredential.
	UID, GID uint32
	Groups   []uint32
	// UIDMap and GIDMap are those of a user namespace.
	UIDMap, GIDMap []IDMap
	// AmbientCaps are numbers of capabilities(7).
	AmbientCaps []uint64
}

// Files is how many descriptors belong to the request.
func (q *Request) Files() int {
	n := 0
	for _, open := range q.Slots {
		if open {
			n++
		}
	}
	for _, f := range []Flags{HasCwd, Foreground, UseCgroupFD} {
		if q.Flags&f != 0 {
			n++
		}
	}
	return n
}

// fixedLen is the length of the numbers before the first count.
const fixedLen = 4*6 + 8*2

// Len is the length of the encoded request, without doing the work.
func (q *Request) Len() int {
	n := fixedLen + 7*4 + len(q.Slots) + 4*len(q.Groups) + 24*(len(q.UIDMap)+len(q.GIDMap)) + 8*len(q.AmbientCaps)
	n += 3*4 + len(q.Path) + len(q.Dir) + len(q.Chroot)
	for _, list := range [][]string{q.Args, q.Env} {
		for _, s := range list {
			n += 4 + len(s)
		}
	}
	return n
}

// Append writes the body: Len bytes.
func (q *Request) Append(b []byte) []byte {
	b = slices.Grow(b, q.Len())
	le := binary.LittleEndian
	for _, v := range [...]uint32{uint32(q.Flags), uint32(q.Ctty), uint32(q.Pgid), q.DeathSignal, q.UID, q.GID} {
		b = le.AppendUint32(b, v)
	}
	b = le.AppendUint64(b, q.Cloneflags)
	b = le.AppendUint64(b, q.Unshareflags)
	b = le.AppendUint32(b, uint32(len(q.Slots)))
	for _, open := range q.Slots {
		b = append(b, boolByte(open))
	}
	b = le.AppendUint32(b, uint32(len(q.Groups)))
	for _, g := range q.Groups {
		b = le.AppendUint32(b, g)
	}
	b = appendIDMap(b, q.UIDMap)
	b = appendIDMap(b, q.GIDMap)
	b = le.AppendUint32(b, uint32(len(q.AmbientCaps)))
	for _, c := range q.AmbientCaps {
		b = le.AppendUint64(b, c)
	}
	for _, s := range [...]string{q.Path, q.Dir, q.Chroot} {
		b = appendString(b, s)
	}
	return appendStrings(appendStrings(b, q.Args), q.Env)
}

func boolByte(v bool) byte {
	if v {
		return 1
	}
	return 0
}

func appendIDMap(b []byte, m []IDMap) []byte {
	b = binary.LittleEndian.AppendUint32(b, uint32(len(m)))
	for _, e := range m {
		for _, v := range [...]int64{e.Container, e.Host, e.Size} {
			b = binary.LittleEndian.AppendUint64(b, uint64(v))
		}
	}
	return b
}

func appendString(b []byte, s string) []byte {
	b = binary.LittleEndian.AppendUint32(b, uint32(len(s)))
	return append(b, s...)
}

func appendStrings(b []byte, list []string) []byte {
	b = binary.LittleEndian.AppendUint32(b, uint32(len(list)))
	for _, s := range list {
		b = appendString(b, s)
	}
	return b
}
