// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package names

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/seed-cb702d51/tfork-go/prefork/internal/message"
)

var errUnsupported = fmt.Errorf("runtime directory: %w", errors.ErrUnsupported)

// Socket is a listening socket in a [Dir].
type Socket struct {
	// File is the socket; Pin keeps the number in ID from being used again.
	File, Pin *os.File
	// ID finds its name again.
	ID ID
}

// Close gives up the socket and its pin; the name stays.
func (s *Socket) Close() {}

type dir struct{ path string }

func openDir(string, time.Duration) (*dir, error) { return nil, errUnsupported }
func attachDir(string) (*dir, error)              { return nil, errUnsupported }
func removeDir(string) error                      { return errUnsupported }

func (d *dir) close() error                                { return errUnsupported }
func (d *dir) bind(string, string, Place) (*Socket, error) { return nil, errUnsupported }
func (d *dir) prune(ID) error                              { return errUnsupported }
func (d *dir) promote(ID, string, Place) error             { return errUnsupported }
func (d *dir) clear(time.Duration) error                   { return errUnsupported }
func (d *dir) sweep() []string                             { return nil }

// Serve answers questions on the process's own socket until stop is called.
func Serve(*os.File, Handler) (stop func(), err error) { return nil, errUnsupported }

func list(string, time.Duration) ([]Entry, error) { return nil, errUnsupported }

func ask(string, string, message.Message, time.Duration) (message.Message, int, error) {
	return message.Message{}, 0, errUnsupported
}
