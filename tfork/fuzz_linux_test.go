// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package tfork

import (
	"bytes"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/seed-cb702d51/tfork-go/internal/boot"
	"github.com/seed-cb702d51/tfork-go/internal/sys"
)

// FuzzReadBoot holds for any file behind a forged role: a record that fits its
// file, or an error; and what the caller writes is read back.
func FuzzReadBoot(f *testing.F) {
	f.Add(boot.Append(nil, boot.Record{Name: "x", Files: 1}), []byte(nil))
	f.Add(boot.Append(nil, boot.Record{Name: "x", Payload: 3}), []byte("abc"))
	f.Add(boot.Append(nil, boot.Record{Name: "x", Payload: 4}), []byte("abc"))
	f.Add(boot.Append(nil, boot.Record{Name: "x", Payload: 1 << 40}), []byte("abc"))
	f.Add([]byte("tfork-b\x02"), []byte(nil))
	f.Fuzz(func(t *testing.T, head, payload []byte) {
		fd, err := sys.Memfd("fuzz")
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		unix.Pwrite(fd, head, 0)
		unix.Pwrite(fd, payload, payloadOffset())
		r, got, err := readBoot(fd)
		if err != nil {
			return
		}
		if uint64(len(got)) != r.Payload || r.Payload > 0 && !bytes.Equal(got, payload) && len(head) <= int(payloadOffset()) {
			t.Errorf("%v with a payload of %d bytes, the file has %d", r, len(got), len(payload))
		}
		if len(got) > copyPayload {
			unix.Munmap(got)
		}
	})
}
