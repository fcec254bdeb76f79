// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package waiter

// Serve is the waiter's whole life. fd is its end of the socket to the caller,
// which it takes. It is called where the program has found that it is to play
// this role, before anything else runs, and never returns: the process ends
// without any work at exit. The exit codes are in the package comment.
func Serve(fd int) { serve(fd) }

// Exit codes of a waiter.
const (
	// exitDone: every worker has ended and the caller is gone, or has asked
	// the waiter to leave.
	exitDone = 0
	// exitSetup: the process could not be made a waiter.
	exitSetup = 121
	// exitProtocol: a message was malformed, of another version, or came from
	// a process other than the caller.
	exitProtocol = 122
	// exitStolen: something in this very process took a worker's status, or
	// waiting is refused here.
	exitStolen = 123
	// exitMute: an answer could not be sent although the caller is there.
	exitMute = 124
)
