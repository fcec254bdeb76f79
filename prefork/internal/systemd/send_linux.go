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
	if _, err := c.Write([]byte(state)); err != nil {
		return fmt.Errorf("notify the service manager: %w", err)
	}
	return nil
}
