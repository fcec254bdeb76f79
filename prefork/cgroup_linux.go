// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package prefork

import (
	"bytes"
	"errors"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// killCgroup kills all processes in the group and below; false where it cannot.
func killCgroup(dir *os.File) bool {
	err := inCgroup(dir, "cgroup.kill", unix.O_WRONLY, func(fd int) error {
		_, err := unix.Write(fd, []byte("1"))
		return err
	})
	if errors.Is(err, unix.ENOENT) { // before Linux 5.14
		return killMembers(dir)
	}
	return err == nil
}

// killMembers kills one process of the group after the other. Those that fork
// faster get away for now: the caller comes again until nobody is left. Groups
// below are not looked into.
func killMembers(dir *os.File) bool {
	found, err := cgroupMembers(dir)
	for _, pid := range found {
		p, err := os.FindProcess(pid) // by pidfd: it stays this very process
		if err != nil {
			continue
		}
		// The number may have become another's before it was opened.
		if still, _ := cgroupMembers(dir); slices.Contains(still, pid) {
			p.Kill()
		}
		p.Release()
	}
	return err == nil
}

// cgroupMembers lists the processes of the group.
func cgroupMembers(dir *os.File) (pids []int, err error) {
	var text []byte
	err = inCgroup(dir, "cgroup.procs", unix.O_RDONLY, func(fd int) (err error) {
		text, err = readAll(fd)
		return err
	})
	for line := range bytes.Lines(text) {
		// 0 is a process of another pid namespace, which has no number here.
		if pid, err := strconv.Atoi(string(bytes.TrimSpace(line))); err == nil && pid > 1 {
			pids = append(pids, pid)
		}
	}
	return pids, err
}

// cgroupPopulated tells whether there are processes in the group or below.
func cgroupPopulated(dir *os.File) (populated bool) {
	inCgroup(dir, "cgroup.events", unix.O_RDONLY, func(fd int) error {
		text, err := readAll(fd)
		populated = strings.Contains(string(text), "populated 1")
		return err
	})
	return populated
}

func readAll(fd int) (text []byte, err error) {
	b := make([]byte, 4096)
	for {
		n, err := unix.Read(fd, b)
		if n <= 0 {
			return text, err
		}
		text = append(text, b[:n]...)
	}
}

// inCgroup opens a file of the group for f.
func inCgroup(dir *os.File, name string, mode int, f func(fd int) error) error {
	raw, err := dir.SyscallConn()
	if err != nil {
		return err
	}
	controlErr := raw.Control(func(at uintptr) {
		var fd int
		if fd, err = unix.Openat(int(at), name, mode|unix.O_CLOEXEC, 0); err == nil {
			err = f(fd)
			unix.Close(fd)
		}
	})
	return errors.Join(controlErr, err)
}
