// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package prefork

import (
	"os"
	"testing"

	"github.com/seed-cb702d51/tfork-go/tfork"
)

// FuzzUnpack holds for any start record: sockets that have the descriptors that
// they say, or an error.
func FuzzUnpack(f *testing.F) {
	good := &boot{Role: "worker", Service: "http", Sockets: []*socket{
		{Network: "tcp", Address: ":80", Count: 1, Files: []*os.File{os.Stdin}},
		{Network: "udp", Address: ":53", Count: 2, Files: []*os.File{os.Stdin, os.Stdin}},
	}}
	payload, files, err := good.pack(os.Stdin, nil, nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(payload, uint8(len(files)))
	f.Add(payload, uint8(len(files)-1))
	f.Add([]byte(`{"Sockets":[null]}`), uint8(3))
	f.Add([]byte(`{"Sockets":[{"Count":-1}]}`), uint8(3))
	f.Add([]byte(`{"Sockets":[{"Count":0}]}`), uint8(3))
	f.Fuzz(func(t *testing.T, payload []byte, files uint8) {
		w := &tfork.Worker{Payload: payload}
		for range files {
			w.Files = append(w.Files, os.Stdin)
		}
		b, err := unpack(w)
		if err != nil {
			return
		}
		n := fileSockets
		for _, s := range b.Sockets {
			if n += len(s.Files); len(s.Files) != s.Count {
				t.Errorf("a socket of %d with %d descriptors", s.Count, len(s.Files))
			}
		}
		if n > len(w.Files) {
			t.Errorf("%d descriptors out of %d", n, len(w.Files))
		}
		for i := range 3 {
			forInstance(b.Sockets, i)
		}
	})
}
