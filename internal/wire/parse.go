// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package wire

// ParseRequest reads the body of [Spawn]. Lists of length zero come back as
// nil; HasUIDMap and HasGIDMap keep the difference where it matters.
func ParseRequest(body []byte) (*Request, error) {
	r := reader{b: body}
	q := &Request{Flags: Flags(r.u32()), Ctty: int32(r.u32()), Pgid: int32(r.u32())}
	q.DeathSignal, q.UID, q.GID = r.u32(), r.u32(), r.u32()
	q.Cloneflags, q.Unshareflags = r.u64(), r.u64()
	q.Slots = r.slots()
	q.Groups = list(&r, 4, r.u32)
	q.UIDMap = list(&r, 24, r.idMap)
	q.GIDMap = list(&r, 24, r.idMap)
	q.AmbientCaps = list(&r, 8, r.u64)
	// One copy serves all strings.
	text := texts{reader: &r, all: string(r.b)}
	q.Path, q.Dir, q.Chroot = text.next(), text.next(), text.next()
	q.Args = list(&r, 4, text.next)
	q.Env = list(&r, 4, text.next)
	if err := r.done(Spawn); err != nil {
		return nil, err
	}
	if err := q.check(); err != nil {
		return nil, err
	}
	return q, nil
}

// check refuses what no caller of ours sends.
func (q *Request) check() error {
	switch {
	case q.Flags&^allFlags != 0:
		return malformed("spawn: flags %#x", q.Flags)
	case q.DeathSignal > 64:
		return malformed("spawn: death signal %d", q.DeathSignal)
	case q.Flags&HasUIDMap == 0 && len(q.UIDMap) > 0, q.Flags&HasGIDMap == 0 && len(q.GIDMap) > 0:
		return malformed("spawn: a mapping without its flag")
	}
	return nil
}

// list reads a counted list whose elements have at least size bytes.
func list[T any](r *reader, size int, next func() T) []T {
	n := r.count(size)
	if n == 0 {
		return nil
	}
	out := make([]T, n)
	for i := range out {
		out[i] = next()
	}
	return out
}

func (r *reader) idMap() IDMap {
	return IDMap{int64(r.u64()), int64(r.u64()), int64(r.u64())}
}

func (r *reader) slots() []bool {
	return list(r, 1, func() bool {
		v := r.u8()
		r.bad = r.bad || v > 1
		return v == 1
	})
}

// texts hands out strings that share the memory of all, a copy of what the
// reader had left when the first of them was read.
type texts struct {
	*reader
	all string
}

func (t *texts) next() string {
	n := t.count(1)
	if n == 0 {
		return ""
	}
	start := len(t.all) - len(t.b)
	t.take(n)
	return t.all[start : start+n]
}
