// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package boot

import (
	"reflect"
	"testing"
)

func FuzzParse(f *testing.F) {
	f.Add(Append(nil, Record{Name: "resize", Files: 2, Payload: 1 << 30}))
	f.Add(Append(nil, Record{Name: "x", Joins: true}))
	f.Add([]byte("tfork-b\x02"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := Parse(b)
		if err != nil {
			if r != (Record{}) {
				t.Errorf("a record %v beside the error %v", r, err)
			}
			return
		}
		again, err := Parse(Append(nil, r))
		if err != nil || again != r {
			t.Errorf("round trip of %v: %v, %v", r, again, err)
		}
		if len(Append(nil, r)) > MaxSize {
			t.Errorf("record of %d bytes, more than MaxSize", len(Append(nil, r)))
		}
	})
}

func TestParse_Refuses(t *testing.T) {
	good := Append(nil, Record{Name: "resize", Files: 1, Payload: 7})
	change := func(at int, to ...byte) []byte {
		b := append([]byte{}, good...)
		copy(b[at:], to)
		return b
	}
	tests := []struct {
		name string
		b    []byte
	}{
		{"empty", nil},
		{"cut header", good[:20]},
		{"cut name", good[:len(good)-1]},
		{"other version", change(7, 9)},
		{"huge payload", change(8, 255, 255, 255, 255, 255, 255, 255, 255)},
		{"many files", change(16, 255, 255, 255, 255)},
		{"unknown flag", change(20, 2, 0, 0, 0)},
		{"no name", change(24, 0, 0, 0, 0)},
		{"long name", change(24, 0, 1, 0, 0)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if r, err := Parse(tt.b); err == nil {
				t.Errorf("accepted as %v", r)
			}
		})
	}
}

func FuzzParseProgram(f *testing.F) {
	whole := AppendProgram(nil, Program{Path: "/bin/sh", Args: []string{"sh", "-c", ""}, Env: []string{"A=1"}, Ignore: 1 << 14})
	f.Add(whole)
	f.Add(whole[:len(whole)-1])
	f.Add(append(whole[:len(whole):len(whole)], 0))
	f.Add([]byte{255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255})
	f.Add(whole[:programHeader-1])
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := ParseProgram(b)
		if err != nil {
			if !reflect.DeepEqual(p, Program{}) {
				t.Errorf("a program %v beside the error %v", p, err)
			}
			return
		}
		again, err := ParseProgram(AppendProgram(nil, p))
		if err != nil || !reflect.DeepEqual(again, p) {
			t.Errorf("round trip of %v: %v, %v", p, again, err)
		}
	})
}
