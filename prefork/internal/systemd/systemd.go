// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package systemd

import (
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/activation"
	"github.com/coreos/go-systemd/v22/daemon"
)

// notifyKey is the environment variable with the manager's socket.
const notifyKey = "NOTIFY_SOCKET"

// Sockets returns the descriptors that the service manager passed, by name; a
// name may stand for several. They are close-on-exec, and the caller's.
func Sockets() map[string][]*os.File { return activation.FilesWithNames() }

// Notifier tells the service manager about the server.
type Notifier struct{ socket string }

// NewNotifier takes the manager's socket out of the environment.
func NewNotifier() *Notifier {
	n := &Notifier{socket: os.Getenv(notifyKey)}
	os.Unsetenv(notifyKey)
	return n
}

// Ready says that the server serves, at its start and after a reload.
func (n *Notifier) Ready(status string) error {
	return n.send(daemon.SdNotifyReady + "\n" + statusLine(status) + "\nMAINPID=" + fmt.Sprint(os.Getpid()))
}

// Reloading says that a reload began. [Notifier.Ready] ends it.
func (n *Notifier) Reloading() error {
	// Type=notify-reload wants to know when, on its own clock.
	return n.send(fmt.Sprintf("%s\nMONOTONIC_USEC=%d", daemon.SdNotifyReloading, monotonicMicroseconds()))
}

// Stopping says that the server is about to end.
func (n *Notifier) Stopping() error { return n.send(daemon.SdNotifyStopping) }

// Status is a line of text for a person.
func (n *Notifier) Status(text string) error { return n.send(statusLine(text)) }

// Watchdog takes the manager's watchdog out of the environment. The manager ends a
// server that does not [Notifier.Beat] for so long; 0 is as long as it likes.
func Watchdog() (time.Duration, error) { return daemon.SdWatchdogEnabled(true) }

// Beat says that the server lives.
func (n *Notifier) Beat() error { return n.send(daemon.SdNotifyWatchdog) }

// maxStatus keeps a message below the 4096 bytes that the manager reads.
const maxStatus = 2000

// statusLine makes one line of a text: what follows a line's end would be the
// next assignment, and what is too long or no UTF-8 is lost as a whole.
func statusLine(text string) string {
	text = strings.ReplaceAll(text, "\n", "; ")
	return "STATUS=" + strings.ToValidUTF8(text[:min(len(text), maxStatus)], "")
}
