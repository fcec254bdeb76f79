// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package waiter

import (
	"testing"

	"golang.org/x/sys/unix"

	"github.com/seed-cb702d51/tfork-go/internal/testutil"
	"github.com/seed-cb702d51/tfork-go/internal/wire"
)

// TestReceive_StormOfSignals: no signal makes a waiter believe that its caller
// has gone, or skip a message.
func TestReceive_StormOfSignals(t *testing.T) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer closeAll(pair[:])
	const messages = 20
	testutil.Storm(t, func() {
		buf := make([]byte, wire.MaxMessage)
		for want := range messages {
			n, _, _, err := systemEnv(pair[0]).receive(buf, nil)
			if err != nil || n != 1 || buf[0] != byte(want) {
				t.Errorf("message %d: %x, %v", want, buf[:max(n, 0)], err)
				return
			}
		}
	}, func(arrived int) {
		if i := arrived/10 - 1; arrived%10 == 0 && i < messages {
			if err := sendmsg(pair[1], []byte{byte(i)}, nil, 0); err != nil {
				t.Error(err)
			}
		}
	})
}
