// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package prefork

import (
	"net"
	"strings"
	"testing"
	"time"

	"github.com/seed-cb702d51/tfork-go/prefork/internal/message"
)

// late is a connection of a process that gets no processor for a while, after it
// has said until when it wants to have written.
type late struct{ *net.UnixConn }

func (l late) SetWriteDeadline(at time.Time) error {
	defer time.Sleep(time.Until(at) + time.Millisecond) // the delay is the subject
	return l.UnixConn.SetWriteDeadline(at)
}

// TestChannel_LosesNothingOnABusyMachine: a time limit is for the other end.
func TestChannel_LosesNothingOnABusyMachine(t *testing.T) {
	ours, f, err := newChannel()
	if err != nil {
		t.Fatal(err)
	}
	defer ours.close()
	theirs, err := adoptChannel(f)
	if err != nil {
		t.Fatal(err)
	}
	defer theirs.close()
	ours.conn = late{ours.conn.(*net.UnixConn)}
	if err := ours.send(message.Message{Kind: message.Ready}); err != nil {
		t.Fatal(err)
	}
	if m, err := message.Read(theirs.conn); err != nil || m.Kind != message.Ready {
		t.Errorf("%v, %v", m, err)
	}
}

// TestChannel_GivesUpOnWhoDoesNotRead, and says so.
func TestChannel_GivesUpOnWhoDoesNotRead(t *testing.T) {
	ours, f, err := newChannel()
	if err != nil {
		t.Fatal(err)
	}
	defer ours.close()
	defer f.Close()
	long := message.Text(message.Poke, strings.Repeat("x", 1000))
	for range 10_000 {
		if err = ours.send(long); err != nil {
			break
		}
	}
	if timeout, ok := err.(net.Error); !ok || !timeout.Timeout() {
		t.Errorf("%v, want a timeout", err)
	}
}
