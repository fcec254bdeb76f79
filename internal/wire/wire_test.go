// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"bytes"
	"errors"
	"runtime"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// requests are bodies from nothing to everything.
var requests = map[string]*Request{
	"empty": {},
	"small": {
		Path: "/bin/true", Args: []string{"true"}, Env: []string{"A=1", ""}, Dir: "sub",
		Slots: []bool{true, false, true}, Flags: HasCwd,
	},
	"everything": {
		Path: "p", Dir: "/d", Chroot: "/c", Args: []string{"a", "", "b"}, Env: []string{"X=Y"},
		Slots: []bool{true, true, true, false, true}, Flags: allFlags, Ctty: -1, Pgid: 1<<31 - 1, DeathSignal: 64,
		Cloneflags: 1 << 63, Unshareflags: 7, UID: 1<<32 - 1, GID: 5, Groups: []uint32{0, 1<<32 - 1},
		UIDMap: []IDMap{{0, 1000, 1}, {-1, -2, -3}}, GIDMap: []IDMap{{1, 2, 3}}, AmbientCaps: []uint64{10, 1<<64 - 1},
	},
}

func TestRequest_RoundTrip(t *testing.T) {
	for name, want := range requests {
		b := want.Append(nil)
		if len(b) != want.Len() {
			t.Errorf("%s: %d bytes, Len says %d", name, len(b), want.Len())
		}
		got, err := ParseRequest(b)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// TestParse_EveryCutIsRefused cuts each message at each place.
func TestParse_EveryCutIsRefused(t *testing.T) {
	for name, q := range requests {
		b := q.Append(nil)
		for n := range b {
			if _, err := ParseRequest(b[:n]); !errors.Is(err, ErrMalformed) {
				t.Errorf("%s cut at %d of %d: %v", name, n, len(b), err)
			}
		}
		if _, err := ParseRequest(append(b, 0)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s with a byte more: %v", name, err)
		}
	}
	for name, msg := range messages() {
		for n := range msg {
			if _, _, err := Parse(msg[:n]); !errors.Is(err, ErrMalformed) {
				t.Errorf("%s cut at %d: %v", name, n, err)
			}
		}
	}
}

// messages is one of each kind.
func messages() map[string][]byte {
	body := requests["small"].Append(nil)
	return map[string][]byte{
		"ready":         AppendReady(nil),
		"spawn":         append(Envelope{Files: 3, Body: uint32(len(body))}.Append(nil, 1), body...),
		"spawn, memfd":  Envelope{Carrier: BodyInMemfd | FilesInSocket, Files: 300, Body: 1 << 20}.Append(nil, 2),
		"started":       StartedInfo{Pid: 4711, PidFDs: 2}.Append(nil, 3),
		"refused":       RefusedInfo{Reason: ByKernel, Errno: 2}.Append(nil, 4),
		"refused stale": RefusedInfo{Reason: Stale}.Append(nil, 5),
		"refused split": RefusedInfo{Reason: Split}.Append(nil, 5),
		"exited":        (&ExitedInfo{Status: 0x8b, Rusage: [RusageLen]int64{1, -2, 17: 18}}).Append(nil, 6),
		"signal":        SignalInfo{Worker: 1<<64 - 1, Signal: 9}.Append(nil, 7),
		"signaled":      AppendSignaled(nil, 8, 3),
	}
}

func TestMessages_RoundTrip(t *testing.T) {
	for name, msg := range messages() {
		h, payload, err := Parse(msg)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got, err := reappend(h, payload); err != nil || !bytes.Equal(got, msg) {
			t.Errorf("%s: %x, %v; want %x", name, got, err, msg)
		}
		if len(msg) > MaxAnswer && h.Kind != Spawn {
			t.Errorf("%s: %d bytes are more than MaxAnswer", name, len(msg))
		}
	}
}

// reappend parses a payload and writes the message again.
func reappend(h Header, payload []byte) ([]byte, error) {
	switch h.Kind {
	case Ready:
		return AppendReady(nil), ParseReady(payload)
	case Spawn:
		e, body, err := ParseEnvelope(payload)
		return append(e.Append(nil, h.ID), body...), err
	case Started:
		s, err := ParseStarted(payload)
		return s.Append(nil, h.ID), err
	case Refused:
		f, err := ParseRefused(payload)
		return f.Append(nil, h.ID), err
	case Exited:
		e, err := ParseExited(payload)
		if err != nil {
			return nil, err
		}
		return e.Append(nil, h.ID), nil
	case Signal:
		s, err := ParseSignal(payload)
		return s.Append(nil, h.ID), err
	default:
		errno, err := ParseSignaled(payload)
		return AppendSignaled(nil, h.ID, errno), err
	}
}

func TestParse_Refuses(t *testing.T) {
	change := func(name string, at int, to byte) []byte {
		b := bytes.Clone(messages()[name])
		b[at] = to
		return b
	}
	if _, _, err := Parse(change("started", 0, Version+1)); !errors.Is(err, ErrVersion) || errors.Is(err, ErrMalformed) {
		t.Errorf("another version: %v", err)
	}
	for name, msg := range map[string][]byte{
		"kind 0":          change("started", 1, 0),
		"a kind too many": change("started", 1, byte(Signaled)+1),
		"reserved":        change("started", 2, 1),
		"length":          change("started", 4, 25),
		"pid 0":           StartedInfo{}.Append(nil, 1),
		"pid too large":   StartedInfo{Pid: 1 << 31}.Append(nil, 1),
		"three pidfds":    StartedInfo{Pid: 1, PidFDs: 3}.Append(nil, 1),
		"refused by 0":    RefusedInfo{Reason: ByKernel}.Append(nil, 1),
		"stale by errno":  RefusedInfo{Reason: Stale, Errno: 1}.Append(nil, 1),
		"another reason":  RefusedInfo{Reason: Split + 1}.Append(nil, 1),
		"no reason":       RefusedInfo{Errno: 1}.Append(nil, 1),
		"signal 65":       SignalInfo{Signal: 65}.Append(nil, 1),
		"carrier":         change("spawn, memfd", HeaderLen, 4),
		"reserved spawn":  change("spawn, memfd", HeaderLen+1, 1),
		"too many files":  Envelope{Files: MaxFiles + 1}.Append(nil, 1),
		"body too large":  Envelope{Carrier: BodyInMemfd, Body: MaxBody + 1}.Append(nil, 1),
	} {
		h, payload, err := Parse(msg)
		if err == nil {
			_, err = reappend(h, payload)
		}
		if !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v, want ErrMalformed", name, err)
		}
	}
}

func TestParseRequest_Refuses(t *testing.T) {
	for name, q := range map[string]*Request{
		"flags":               {Flags: allFlags + 1},
		"death signal":        {DeathSignal: 65},
		"map without a flag":  {UIDMap: []IDMap{{}}},
		"map without a flag2": {GIDMap: []IDMap{{}}},
	} {
		if got, err := ParseRequest(q.Append(nil)); !errors.Is(err, ErrMalformed) || got != nil {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	b := requests["small"].Append(nil)
	b[fixedLen+4] = 2 // a slot that is neither open nor closed
	if _, err := ParseRequest(b); !errors.Is(err, ErrMalformed) {
		t.Errorf("slot 2: %v", err)
	}
}

// TestParseRequest_BelievesNoCount: a number of elements that the body cannot
// hold costs nothing.
func TestParseRequest_BelievesNoCount(t *testing.T) {
	empty := new(Request).Append(nil)
	lists := fixedLen + 4 // behind the slots: groups, maps, capabilities
	for at := lists; at+4 <= len(empty); at += 4 {
		b := bytes.Clone(empty)
		copy(b[at:], "\x00\x00\x40\x00") // 4 Mi elements
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := ParseRequest(b)
		runtime.ReadMemStats(&after)
		if got := after.TotalAlloc - before.TotalAlloc; !errors.Is(err, ErrMalformed) || got > 1<<20 {
			t.Errorf("number at %d: %v, and %d bytes are allocated for %d", at, err, got, len(b))
		}
	}
}

func TestRequest_Files(t *testing.T) {
	for name, want := range map[string]int{"empty": 0, "small": 3, "everything": 7} {
		if got := requests[name].Files(); got != want {
			t.Errorf("%s: %d files, want %d", name, got, want)
		}
	}
}

// FuzzParse holds for any bytes: no panic, a value or an error, and what was
// read writes the same bytes again.
func FuzzParse(f *testing.F) {
	for _, msg := range messages() {
		f.Add(msg)
	}
	f.Fuzz(func(t *testing.T, msg []byte) {
		h, payload, err := Parse(msg)
		if err != nil {
			if h != (Header{}) || payload != nil {
				t.Errorf("a value beside the error %v: %v", err, h)
			}
			return
		}
		if again, err := reappend(h, payload); err == nil && !bytes.Equal(again, msg) {
			t.Errorf("%x reads as %x", msg, again)
		}
	})
}

// FuzzParseRequest holds the same for bodies, and that nothing large is made
// of something small.
func FuzzParseRequest(f *testing.F) {
	for _, q := range requests {
		f.Add(q.Append(nil))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		q, err := ParseRequest(body)
		if (q == nil) == (err == nil) {
			t.Fatalf("%v beside %v", q, err)
		}
		if err != nil {
			return
		}
		if again := q.Append(nil); !bytes.Equal(again, body) || len(again) != q.Len() {
			t.Errorf("%x reads as %x", body, again)
		}
		if n := len(q.Args) + len(q.Env) + len(q.Groups) + len(q.UIDMap) + len(q.GIDMap) + len(q.AmbientCaps) + len(q.Slots); n > len(body) {
			t.Errorf("%d elements out of %d bytes", n, len(body))
		}
	})
}
