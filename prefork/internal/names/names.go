// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package names

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/seed-cb702d51/tfork-go/prefork/internal/message"
)

// Errors of this package.
var (
	// ErrInUse says that another supervisor, or what is left of one, lives on
	// the directory.
	ErrInUse = errors.New("the runtime directory is in use")
	// ErrNoName says that nobody has that name.
	ErrNoName = errors.New("no process has that name")
	// ErrNoAnswer says that there is such a process, but it did not answer.
	ErrNoAnswer = errors.New("the process does not answer")
)

// Roles of processes.
const (
	Supervisor = "supervisor"
	Master     = "master"
	Worker     = "worker"
)

// prefix begins every name. Other files in the directory are left alone.
const prefix = "prefork-"

// Name puts the name of a process together. unique tells apart processes that
// share a place: 0 for the one that holds it.
func Name(role, service string, instance int, unique uint64) string {
	name := prefix + role
	if service != "" {
		name += "-" + service
	}
	if role == Worker {
		name += "-" + strconv.Itoa(instance)
	}
	if unique != 0 {
		name += "+" + strconv.FormatUint(unique, 10)
	}
	return name
}

// Split takes a name apart. instance is -1 for all but workers.
func Split(name string) (role, service string, instance int, ok bool) {
	rest, ok := strings.CutPrefix(name, prefix)
	if !ok {
		return "", "", 0, false
	}
	rest, _, _ = strings.Cut(rest, "+")
	role, service, _ = strings.Cut(rest, "-")
	switch role {
	case Supervisor, Master:
		return role, service, -1, true
	case Worker:
		dash := strings.LastIndexByte(service, '-')
		if dash <= 0 { // a worker without a service is nobody's
			return "", "", 0, false
		}
		instance, err := strconv.Atoi(service[dash+1:])
		return role, service[:dash], instance, err == nil && instance >= 0
	}
	return "", "", 0, false
}

// Entry is one name and who is behind it.
type Entry struct {
	Name string
	// Pid is what the kernel says: who answered, or else whose socket it is.
	// Until a process has begun that is the one which started it.
	Pid int
	// Row is its answer to a status question; nil if it did not answer.
	Row []byte
}

// ID is the identity of a socket file, whatever its name is at the time. File
// systems use numbers again: it is good as long as the socket or its Pin is open.
type ID struct{ Dev, Ino uint64 }

// Dir is a runtime directory. Make it with [Open] or [Attach].
type Dir struct{ dir *dir }

// Open makes the directory if needed, takes its lock, and removes what a
// crashed run left. Processes of such a run that are still leaving get until
// wait is over; then the error is [ErrInUse] and names them, as it is at once
// if a supervisor holds the lock.
func Open(path string, wait time.Duration) (*Dir, error) {
	d, err := openDir(path, wait)
	if err != nil {
		return nil, err
	}
	return &Dir{d}, nil
}

// Attach is for the masters: the directory is there, and locked by the
// supervisor.
func Attach(path string) (*Dir, error) {
	d, err := attachDir(path)
	if err != nil {
		return nil, err
	}
	return &Dir{d}, nil
}

// Remove removes a directory on which nobody lives any more, with what was
// left. Nothing is done to one that no supervisor ever took: that is
// os.ErrNotExist. If somebody lives there the error is [ErrInUse]; files of
// others in the directory stay, and keep it.
func Remove(path string) error { return removeDir(path) }

// Path returns the path of the directory.
func (d *Dir) Path() string { return d.dir.path }

// Close gives up the descriptors, and with the lock's the directory. Names
// stay as they are.
func (d *Dir) Close() error { return d.dir.close() }

// Bind makes a listening socket under the name, which must not be taken by a
// live process that holds it; a stale one is replaced. The caller owns the
// socket and its pin.
func (d *Dir) Bind(name string) (*Socket, error) { return d.dir.bind(name, name, Place{}) }

// Claim is [Dir.Bind] for who may find the name taken. A live process that has
// it, which must be one that leaves, gets the spare name in exchange. But the new
// socket itself gets the spare name if the place that gives a right to the name
// is lost.
func (d *Dir) Claim(name, spare string, right Place) (*Socket, error) {
	return d.dir.bind(name, spare, right)
}

// Place is a name and the socket that is to have it: what gives a master the
// right to name its workers. It may have been replaced and not know yet: then
// the names are its successor's. The zero value is nobody's and never lost.
type Place struct {
	Name string
	ID   ID
}

// Prune removes the socket's file, under whatever name. Removing what is gone
// already is no error.
func (d *Dir) Prune(id ID) error { return d.dir.prune(id) }

// Promote gives the socket the name. Whoever had it gets the socket's old name
// in exchange, in one step: there is no moment without either. Nothing happens if
// the right to the name is lost.
func (d *Dir) Promote(id ID, name string, right Place) error {
	return d.dir.promote(id, name, right)
}

// Sweep removes all names at which nobody listens, and returns them.
func (d *Dir) Sweep() []string { return d.dir.sweep() }

// Clear sweeps until no name is left, or wait is over: then the error is
// [ErrInUse] and names a process that still lives.
func (d *Dir) Clear(wait time.Duration) error { return d.dir.clear(wait) }

// List asks every process in the directory for its status, all at once, and
// returns them in the order of their names. A process that does not answer in
// time is listed without a row; one that is gone is not listed.
func List(path string, timeout time.Duration) ([]Entry, error) { return list(path, timeout) }

// Ask sends a question to the process of that name and returns the answer, and
// the pid that the kernel tells, as [Entry] has it. Errors are [ErrNoName], [ErrNoAnswer] and
// those of the system.
func Ask(path, name string, q message.Message, timeout time.Duration) (message.Message, int, error) {
	return ask(path, name, q, timeout)
}

// Handler answers one question.
type Handler func(message.Message) message.Message
