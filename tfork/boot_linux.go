// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package tfork

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/seed-cb702d51/tfork-go/internal/boot"
	"github.com/seed-cb702d51/tfork-go/internal/role"
	"github.com/seed-cb702d51/tfork-go/internal/sys"
)

// boot adds to l what makes the new process a role of this program that runs
// c's function, or joins a cgroup and executes c's program: a memory file with
// the record and the payload, the lifeline, the role marker. The returned
// function must be called when the worker has ended, or was not started.
func (c *Cmd) boot(l *launch, joins bool) (release func(), err error) {
	record, payload := boot.Record{Name: c.function, Files: len(c.ExtraFiles), Joins: joins}, c.Payload
	kind := role.Worker
	if c.function == "" {
		kind = role.Launcher
		record.Name = launcherName
		payload = boot.AppendProgram(nil, boot.Program{Path: l.path, Args: l.args, Env: l.env, Ignore: c.ignored()})
		l.path, l.args, l.env = role.Exe, []string{launcherName}, nil
	}
	record.Payload = uint64(len(payload))
	fd, err := bootFile(record, payload)
	if err != nil {
		return nil, fmt.Errorf("tfork: %s: %w", record.Name, err)
	}
	c.childFDs = append(c.childFDs, childFD(fd))
	l.env = append(l.env, role.Role{Kind: kind, FD: len(l.files)}.Marker())
	l.files = append(l.files, uintptr(fd))
	if kind == role.Worker {
		release, err = c.bootFunc(l, fd)
		if err != nil {
			return nil, fmt.Errorf("tfork: %s: %w", record.Name, err)
		}
	}
	return release, nil
}

// ignored is what a worker that is born ignores: the same as this process, but
// through a waiter not these two, with which it has its own ways. The first
// strategy counts: one that is possible makes room for no other.
func (c *Cmd) ignored() uint64 {
	const waiters = 1<<(unix.SIGCHLD-1) | 1<<(unix.SIGURG-1)
	set := sys.Ignored()
	if set&waiters == 0 {
		return set
	}
	if options, err := c.options(); err == nil && options[0].strategy == Waiter {
		set &^= waiters
	}
	return set // with an error nothing is started
}

// bootFunc adds what only a function gets: the places of nil files, and the
// lifeline.
func (c *Cmd) bootFunc(l *launch, record int) (release func(), err error) {
	for i, f := range c.ExtraFiles {
		if f == nil {
			// A closed descriptor would be taken by the new process's runtime
			// before it could be looked at: the boot record marks the place.
			l.files[3+i] = uintptr(record)
		}
	}
	life, err := grabLifeline()
	if err != nil {
		return nil, err
	}
	l.files = append(l.files, uintptr(life))
	return releaseLifeline, nil
}

// launcherName is what ps shows of a launcher, for its millisecond.
const launcherName = "tfork-launcher"

// payloadOffset is where the payload begins, so that it can be mapped.
func payloadOffset() int64 { return int64(max(os.Getpagesize(), boot.MaxSize)) }

// bootFile returns a sealed memory file: the worker may map it.
func bootFile(r boot.Record, payload []byte) (int, error) {
	head := make([]byte, payloadOffset())
	copy(head, boot.Append(nil, r))
	return sys.SealedMemfd("tfork-boot", head, payload)
}

// readBoot returns what is in the memory file.
func readBoot(fd int) (r boot.Record, payload []byte, err error) {
	header := make([]byte, boot.MaxSize)
	n, err := unix.Pread(fd, header, 0)
	if err != nil {
		return r, nil, os.NewSyscallError("pread", err)
	}
	if r, err = boot.Parse(header[:n]); err != nil || r.Payload == 0 {
		return r, nil, err
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return r, nil, os.NewSyscallError("fstat", err)
	}
	if st.Size < 0 || uint64(st.Size) != uint64(payloadOffset())+r.Payload {
		return r, nil, errors.New("boot record does not fit its file")
	}
	payload, err = mapPayload(fd, int(r.Payload))
	return r, payload, err
}

// copyPayload is the size up to which a payload is copied: a mapping costs
// more below that.
const copyPayload = 256 << 10

func mapPayload(fd, size int) ([]byte, error) {
	if size > copyPayload {
		b, err := unix.Mmap(fd, payloadOffset(), size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE)
		return b, os.NewSyscallError("mmap", err)
	}
	b := make([]byte, size)
	return b, sys.ReadAt(fd, b, payloadOffset())
}
