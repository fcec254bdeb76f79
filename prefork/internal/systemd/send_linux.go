// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package systemd

import (
	"fmt"
	"net"
	"time"

	"golang.org/x/sys/unix"
)

func monotonicMicroseconds() int64 {
	var ts unix.Timespec
	unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts) // cannot fail for this clock
	return time.Duration(ts.Nano()).Microseconds()
}

// patience is how long the manager may take to make room for a message. It reads
// at once, or it hangs, and then nobody may hang with it.
const patience = time.Second

// send does what daemon.SdNotify does, without reading the environment again:
// it was cleared so that workers do not speak for the server.
func (n *Notifier) send(state string) error {
	if n.socket == "" {
		return nil
	}
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: n.socket, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("notify the service manager: %w", err)
	}
	defer c.Close()
	c.SetWriteDeadline(time.Now().Add(patience)) // fails for a closed connection only
	if _, err := c.Write([]byte(state)); err != nil {
		return fmt.Errorf("notify the service manager: %w", err)
	}
	return nil
}
