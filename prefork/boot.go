// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package prefork

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/seed-cb702d51/tfork-go/prefork/config"
	"github.com/seed-cb702d51/tfork-go/prefork/internal/names"
	"github.com/seed-cb702d51/tfork-go/tfork"
)

// boot is all that a master or a worker is told at its start: the payload of
// its tfork.Cmd. During a reload an old supervisor starts masters of a new
// program: fields may be added, not changed.
type boot struct {
	Role     string
	Service  string
	Instance int
	Settings config.Settings
	Strategy tfork.Strategy

	// RuntimeDir and ID are where the process's own name is.
	RuntimeDir string
	ID         names.ID
	LogFile    string

	// Replaces says that another process holds the place until this one is
	// ready.
	Replaces bool
	// After is how the predecessor ended, if nobody asked it to.
	After string

	Sockets []*socket
	Shared  []byte
}

// canonical is the name of the place that the process holds or is to hold.
func (b *boot) canonical() string { return names.Name(b.Role, b.Service, b.Instance, 0) }

// The descriptors that a process gets, by their place in tfork.Worker.Files.
const (
	fileChannel = iota // its end of the channel to the supervising process
	fileName           // its socket in the runtime directory, or nil
	fileLog            // the log file, or nil
	fileSockets        // the first of the listening sockets
)

// pack makes the payload and the list of descriptors; channel and name may be
// nil where there are none.
func (b *boot) pack(channel, name, log *os.File) (payload []byte, files []*os.File, err error) {
	payload, err = json.Marshal(b)
	if err != nil {
		return nil, nil, fmt.Errorf("prefork: start record: %w", err)
	}
	return payload, append([]*os.File{channel, name, log}, flatten(b.Sockets)...), nil
}

// unpack is its inverse in the process that was started.
func unpack(w *tfork.Worker) (*boot, error) {
	var b boot
	if err := json.Unmarshal(w.Payload, &b); err != nil {
		return nil, fmt.Errorf("prefork: start record: %w", err)
	}
	if len(w.Files) < fileSockets || w.Files[fileChannel] == nil {
		return nil, fmt.Errorf("prefork: start record: %d descriptors are too few", len(w.Files))
	}
	if err := unflatten(b.Sockets, w.Files[fileSockets:]); err != nil {
		return nil, fmt.Errorf("prefork: start record: %w", err)
	}
	return &b, nil
}
