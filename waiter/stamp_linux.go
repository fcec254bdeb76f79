// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package waiter

import (
	"strconv"

	"golang.org/x/sys/unix"
)

// Linux tells who made a socket (SO_PEERCRED), and stamps a message with the
// process that has sent it. Who imitates Linux may answer the first question
// with the one who asks, and stamp with the sending thread. Those stamps are as
// good: nobody but the kernel makes them, and a thread belongs to one process.
// On Linux itself a thread's number is never taken for its process's: there a
// message may outlive its sender, and the number be another one's by then.

// isCaller tells whether the number in a stamp is the caller's.
func (s *server) isCaller(id int32) bool {
	return id == s.caller.Pid || s.thread != nil && s.thread(id)
}

// fromNobody tells the end of the stream from an empty message, which has its
// sender's stamp. On what is no Linux the end has one too, of no process.
func fromNobody(oob []byte) bool {
	fds, stamp, err := control(oob)
	return err == nil && len(fds) == 0 && (stamp == nil || stamp.Pid == 0)
}

// callersThread returns how to tell the caller's threads from others, or nil
// where that is not needed: the kernel has told who made the socket. (Where it
// did not, checkSocket has seen that it stamps with threads.)
//
// The thread that has sent a question is there until it is answered, so its
// number is still its own; a thread that is gone is stamped as 0.
func callersThread(fd, caller int) func(tid int32) bool {
	peer, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err == nil && int(peer.Pid) == caller {
		return nil
	}
	return func(tid int32) bool { return isThread(caller, int(tid)) }
}

// isThread tells whether a thread is one of a process's.
func isThread(pid, tid int) bool {
	return unix.Access("/proc/"+strconv.Itoa(pid)+"/task/"+strconv.Itoa(tid), unix.F_OK) == nil
}
