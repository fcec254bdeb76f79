// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package names

import (
	"bytes"
	"io"
	"net"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/seed-cb702d51/tfork-go/prefork/internal/message"
)

// FuzzAnswer holds for a peer of the control socket that says anything and then
// no more: one well-formed answer to a well-formed question, or the end.
func FuzzAnswer(f *testing.F) {
	for _, m := range []message.Message{{Kind: message.Status}, message.Text(message.Stop, "x"), message.JSON(message.Row, 1)} {
		b, err := message.Append(nil, m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
		f.Add(b[:len(b)-1])
		f.Add(append(b, b...))
	}
	f.Add([]byte("GET / HTTP/1.0\r\n\r\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if len(text) > 100_000 {
			t.Skip("more than the socket takes")
		}
		pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		var ends [2]*net.UnixConn
		for i, fd := range pair {
			file := os.NewFile(uintptr(fd), "pair")
			c, err := net.FileConn(file)
			file.Close()
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			ends[i] = c.(*net.UnixConn)
		}
		if _, err := ends[0].Write(text); err != nil {
			t.Fatal(err)
		}
		ends[0].CloseWrite()
		var asked []message.Message
		answer(ends[1], func(m message.Message) message.Message {
			asked = append(asked, m)
			return message.Message{Kind: message.Row, Body: m.Body}
		})
		ends[1].Close()
		reply, err := io.ReadAll(ends[0])
		q, readErr := message.Read(bytes.NewReader(text))
		if (len(asked) == 1) != (readErr == nil) {
			t.Fatalf("%x was asked as %d questions (%v)", text, len(asked), readErr)
		}
		if readErr != nil {
			return
		}
		// Closing with questions left unread resets a connection: that is the
		// asker's loss.
		a, answerErr := message.Read(bytes.NewReader(reply))
		if err == nil && (answerErr != nil || a.Kind != message.Row || !bytes.Equal(a.Body, q.Body)) {
			t.Errorf("%x was answered with %x: %v", text, reply, answerErr)
		}
	})
}
