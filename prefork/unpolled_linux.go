// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package prefork

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// unpolled moves a descriptor to an os.File that stays out of Go's poller, and
// closes f. Who only holds a listening socket must not watch it: as os.File
// does with every socket that is non-blocking, so that supervisor and master
// would be woken for each connection. Nor must the shared socket be made
// blocking at each start that it is handed to, which os.File.Fd does for a file
// that came from net: a worker that lost a race would hang in accept(2).
//
// What is opened as /dev/null cannot be polled, and dup3(2) puts the socket in
// its place.
func unpolled(f *os.File) (*os.File, error) {
	defer f.Close()
	holder, err := os.Open(os.DevNull)
	if err != nil {
		return nil, err
	}
	if err := replaceFD(holder, f); err != nil {
		holder.Close()
		return nil, err
	}
	return holder, nil
}

// replaceFD makes dst another name of what src is.
func replaceFD(dst, src *os.File) error {
	from, err := src.SyscallConn()
	if err != nil {
		return err
	}
	to, err := dst.SyscallConn()
	if err != nil {
		return err
	}
	var inner, dupErr error
	outer := from.Control(func(old uintptr) {
		inner = to.Control(func(new uintptr) { dupErr = unix.Dup3(int(old), int(new), unix.O_CLOEXEC) })
	})
	return errors.Join(outer, inner, os.NewSyscallError("dup3", dupErr))
}
