// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"io"
	"io/fs"
	"os"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"
)

// isTerminal tells whether w is a terminal. The descriptor is looked at in
// place: File.Fd would make it blocking.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	raw, err := f.SyscallConn()
	if err != nil {
		return false
	}
	terminal := false
	err = raw.Control(func(fd uintptr) {
		_, err := unix.IoctlGetTermios(int(fd), unix.TCGETS)
		terminal = err == nil
	})
	return err == nil && terminal
}

// inForeground tells whether our process group is the one that a terminal
// sends typed signals to.
func inForeground() bool {
	terminals := []int{0, 1, 2} // where /dev/tty is missing, or another user's
	if tty, err := unix.Open("/dev/tty", unix.O_RDONLY|unix.O_NOCTTY|unix.O_CLOEXEC, 0); err == nil {
		defer unix.Close(tty)
		terminals = []int{tty}
	}
	return slices.ContainsFunc(terminals, func(fd int) bool {
		group, err := unix.IoctlGetInt(fd, unix.TIOCGPGRP) // of our own terminal only
		return err == nil && group == unix.Getpgrp()
	})
}

// ours tells whether a file belongs to our user.
func ours(info fs.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(st.Uid) == os.Geteuid()
}

// kernel names the running kernel.
func kernel() string {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return "Linux"
	}
	return "Linux " + unix.ByteSliceToString(u.Release[:])
}
