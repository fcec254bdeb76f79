// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package message

import (
	"bytes"
	"errors"
	"io"
	"testing"
)

func TestMessage_RoundTrip(t *testing.T) {
	for _, want := range []Message{
		{Kind: Ready, Body: []byte{}},
		Text(Stop, "reload"),
		JSON(Row, map[string]int{"pid": 7}),
		{Kind: 255, Body: make([]byte, MaxBody)},
	} {
		var b bytes.Buffer
		if err := Write(&b, want); err != nil {
			t.Fatal(err)
		}
		got, err := Read(&b)
		if err != nil || got.Kind != want.Kind || !bytes.Equal(got.Body, want.Body) {
			t.Errorf("kind %d: read %d with %d bytes, %v", want.Kind, got.Kind, len(got.Body), err)
		}
		if _, err := Read(&b); err != io.EOF {
			t.Errorf("after the last: %v", err)
		}
	}
}

func TestRead_Refuses(t *testing.T) {
	tests := []struct {
		name, in string
		want     error
	}{
		{"nothing", "", io.EOF},
		{"half a header", "PF\x01", io.ErrUnexpectedEOF},
		{"half a body", "PF\x01\x01\x00\x00\x00\x02x", io.ErrUnexpectedEOF},
		{"no body", "PF\x01\x01\x00\x00\x00\x02", io.ErrUnexpectedEOF},
		{"another protocol", "GET / HTTP/1.1\r\n", ErrFormat},
		{"another version", "PF\x02\x01\x00\x00\x00\x00", ErrFormat},
		{"a huge length", "PF\x01\x01\xff\xff\xff\xff", ErrTooLong},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if m, err := Read(bytes.NewReader([]byte(tt.in))); !errors.Is(err, tt.want) {
				t.Errorf("Read = %v, %v; want %v", m, err, tt.want)
			}
		})
	}
	if err := Write(io.Discard, Message{Body: make([]byte, MaxBody+1)}); !errors.Is(err, ErrTooLong) {
		t.Errorf("Write of too much: %v", err)
	}
}

func FuzzRead(f *testing.F) {
	for _, m := range []Message{{}, Text(Stop, "x"), JSON(Row, []int{1})} {
		b, _ := Append(nil, m)
		f.Add(b)
		f.Add(append(b, b...))
		f.Add(b[:len(b)-1])
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r := bytes.NewReader(data)
		for {
			before := r.Len()
			m, err := Read(r)
			if err != nil {
				return
			}
			again, err := Append(nil, m)
			if err != nil {
				t.Fatalf("what was read cannot be written: %v", err)
			}
			used := data[len(data)-before : len(data)-r.Len()]
			if !bytes.Equal(again, used) {
				t.Fatalf("read %x, wrote %x", used, again)
			}
		}
	})
}
