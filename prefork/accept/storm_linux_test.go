// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package accept

import (
	"net"
	"testing"

	"github.com/seed-cb702d51/tfork-go/internal/testutil"
)

// TestAccept_StormOfSignals: no signal ends an Accept (epoll_wait is restarted
// by no SA_RESTART).
func TestAccept_StormOfSignals(t *testing.T) {
	eachNetwork(t, func(t *testing.T, network, address string) {
		l, _ := shared(t, network, address)
		var client net.Conn
		testutil.Storm(t, func() {
			c, err := l.Accept()
			if err != nil {
				t.Errorf("Accept: %v", err)
				return
			}
			c.Close()
		}, func(arrived int) {
			if arrived == 100 {
				client = dial(t, l.Addr())
			}
		})
		if client == nil {
			t.Error("Accept has returned before anybody came")
		}
	})
}
