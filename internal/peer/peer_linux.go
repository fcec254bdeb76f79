// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package peer

import (
	"errors"
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
)

// StampsThreads tells whether the kernel puts threads where Linux puts processes
// when it stamps a message on a unix socket (SCM_CREDENTIALS). Who does so is no
// Linux, and does not say either who is at the other end of a socket: its
// SO_PEERCRED is the one who asks. False is also that it could not be told.
//
// It needs two descriptors and a thread that is not the main one: a message that
// such a thread sends to itself shows it.
func StampsThreads() bool {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if unix.Gettid() != unix.Getpid() {
		return stampedAsThread()
	}
	answer := make(chan bool)
	go func() { // on another thread: this one is taken
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		answer <- stampedAsThread()
	}()
	return <-answer
}

// HaveCredentials is nil if the kernel says which process is at the other end of
// a unix socket, or an error that is errors.ErrUnsupported.
func HaveCredentials() error {
	if StampsThreads() {
		return fmt.Errorf("the process at the other end of a socket (SO_PEERCRED): %w", errors.ErrUnsupported)
	}
	return nil
}

// stampedAsThread tells whether the stamp of a message that the calling thread
// sends has the thread's number.
func stampedAsThread() bool {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer unix.Close(fds[0])
	defer unix.Close(fds[1])
	if unix.SetsockoptInt(fds[1], unix.SOL_SOCKET, unix.SO_PASSCRED, 1) != nil {
		return false
	}
	if unix.Sendmsg(fds[0], []byte{0}, nil, nil, unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT) != nil {
		return false
	}
	var b [1]byte
	oob := make([]byte, unix.CmsgSpace(unix.SizeofUcred))
	_, n, _, _, err := unix.Recvmsg(fds[1], b[:], oob, unix.MSG_DONTWAIT)
	if err != nil {
		return false
	}
	messages, err := unix.ParseSocketControlMessage(oob[:n])
	if err != nil || len(messages) != 1 {
		return false
	}
	stamp, err := unix.ParseUnixCredentials(&messages[0])
	return err == nil && int(stamp.Pid) == unix.Gettid()
}
