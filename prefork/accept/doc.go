// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

// Package accept accepts in many processes from one listening socket, without
// waking all of them for each connection.
//
// Promise: a connection wakes one idle process, and idle processes take turns.
// Measured with 16 idle processes on one socket: 1.00 accept attempts for each
// connection and the same number of connections in every process, where
// net.Listener wakes all 16 and serves most with a few. A connection that was
// taken from the queue is always given to a caller of [Listener.Accept], also
// while the listener is being closed: what is not given to a caller stays in
// the queue for the other processes. Running out of descriptors slows down; it
// does not spin.
//
// Under load, when more connections come than the processes can serve at once,
// nobody takes turns: who is running takes the next connection. Measured with 32
// clients and 16 processes on 2 processors: the busiest had 1.3 to 3 times the
// connections of the idlest, with net.Listener 50 times or more, and a
// connection cost 45 to 55 us of processor time and 2 to 3 context switches,
// with net.Listener 55 to 75 us and 10 to 13.
//
// It is not faster than net.Listener where few processes share a socket: a
// connection costs a dozen small system calls more, and a change of threads.
// And a process that is mostly idle should have GOMAXPROCS=1, as is usual where
// there are as many processes as processors: with more, Go's monitor thread
// keeps a watch on the thread that waits and wakes some fifty times before it
// believes that nothing happens (measured, 16 idle processes: 7 context switches
// and 0.16 ms of processor time for a connection with GOMAXPROCS=1, 60 and 0.5
// to 0.8 ms with 2; net.Listener has 18 and 0.18 ms). Package prefork gives each
// worker its share.
//
// It is for streams. A datagram socket that processes share is read through Go's
// poller, and a datagram wakes all that are idle: give each process a socket of
// its own (SO_REUSEPORT) if that costs too much.
//
// How: each process waits in an epoll of its own, in which the socket is
// registered with EPOLLEXCLUSIVE, and registers it anew when it has had its turn
// and is to wait again: that puts the process at the end of the kernel's list. The caller of Accept
// waits in epoll_wait(2) itself, with its OS thread: an epoll inside Go's own
// poller would defeat EPOLLEXCLUSIVE, because nobody would wait in the inner
// one. All other callers of Accept are parked goroutines, so a listener costs
// one thread, and only while somebody accepts.
//
// One weakness is the kernel's: a process that was woken and dies before it
// accepts has used up the wake-up, and the connection waits until the next one
// comes. Whoever supervises the processes calls [Listener.Poke] in one of the
// others then; package prefork does.
//
// Kernel needs: EPOLLEXCLUSIVE, Linux 4.5. On other systems [New] returns an
// error that is errors.ErrUnsupported.
//
// Descriptors: [New] duplicates the socket's; a [Listener] owns that, an epoll
// and an eventfd until Close.
//
// Concurrency: all methods may be called by many goroutines at once.
package accept
