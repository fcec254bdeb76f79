// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package waiter

import (
	"os"

	"golang.org/x/sys/unix"
)

// recvmsg receives one message. Descriptors in it are close-on-exec.
func recvmsg(fd int, p, oob []byte, flags int) (n, oobn, recvflags int, err error) {
	for {
		n, oobn, recvflags, _, err = unix.Recvmsg(fd, p, oob, flags|unix.MSG_CMSG_CLOEXEC)
		if err != unix.EINTR {
			return n, oobn, recvflags, err
		}
	}
}

// sendmsg sends one message, whole or not at all. Errors are bare.
func sendmsg(fd int, p, oob []byte, flags int) error {
	for {
		_, err := unix.SendmsgN(fd, p, oob, nil, flags|unix.MSG_NOSIGNAL)
		if err != unix.EINTR {
			return err
		}
	}
}

// rights takes the descriptors out of control messages. They are then the
// caller's, also when another control message is unknown.
func rights(oob []byte) ([]int, error) {
	fds, _, err := control(oob)
	return fds, err
}

// control takes descriptors and the kernel's stamp (nil: none) out of control
// messages.
func control(oob []byte) (fds []int, stamp *unix.Ucred, err error) {
	if len(oob) == 0 {
		return nil, nil, nil
	}
	scms, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, nil, os.NewSyscallError("recvmsg", err)
	}
	for i := range scms {
		// The parsers below trust the length, as well they may: it is the
		// kernel's. But not every kernel is Linux.
		switch size := len(scms[i].Data); {
		case scms[i].Header.Type == unix.SCM_RIGHTS && size%4 == 0:
			more, err := unix.ParseUnixRights(&scms[i])
			if err != nil {
				return fds, stamp, os.NewSyscallError("recvmsg", err)
			}
			fds = append(fds, more...)
		case scms[i].Header.Type == unix.SCM_CREDENTIALS && size == unix.SizeofUcred:
			if stamp, err = unix.ParseUnixCredentials(&scms[i]); err != nil {
				return fds, nil, os.NewSyscallError("recvmsg", err)
			}
		}
	}
	return fds, stamp, nil
}

func closeAll(fds []int) {
	for _, fd := range fds {
		unix.Close(fd)
	}
}
