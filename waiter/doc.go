// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

// Package waiter is the process between caller and worker: the only one that
// can wait for the worker, and that tells the caller how it ended.
//
// Promise: the status of every started worker is told once and is true, on any
// kernel, whatever other code in the caller does with SIGCHLD or wait; or, if
// the waiter was killed, that is told at once ([ErrGone]). Starts are those of
// syscall.StartProcess, with the same errors, and run in parallel. A waiting
// caller needs no thread. A waiter holds none of the caller's memory,
// environment or descriptors.
//
// It is not a service: a waiter works for the process that started it, with
// that process's rights, and refuses everybody else. It knows raw wait statuses
// only; what a user sees is package tfork's.
//
// Kernel needs: Linux 4.x with /proc (for /proc/self/exe). Pidfds (5.3) are
// handed on where they are. Where a kernel that is no Linux stamps messages with
// threads and does not say who made a socket, the stamps alone tell the caller
// from others.
//
// Descriptors: what a [Request] names is lent for the call. A [Worker] gives
// its pidfd once. The caller has one socket for each waiter; all of it is
// close-on-exec. The waiter's and the worker's are below.
//
// Concurrency: every method may be called by many goroutines at once. One
// goroutine in the netpoller reads for all workers of a waiter.
//
// # Processes
//
//	caller ─┬─ waiter (shared) ─┬─ worker
//	        │                   └─ worker
//	        └─ waiter (dedicated) ── worker
//
// The waiter is this program again, executed through /proc/self/exe with
// argv[0] and comm "tfork-waiter", in the caller's process group and session.
// The shared one is started at the first need and stays until [Pool.CloseIdle]
// or the caller's end; a dedicated one ends with its worker.
//
//	descriptor  in the waiter                in the worker
//	0, 1, 2     /dev/null                    what was asked for, or closed
//	3           the socket to the caller     what was asked for, or closed
//	4, 5        the Go runtime's poller      what was asked for, or closed
//	6 ...       while a start is on its way  what was asked for, or closed
//
// Descriptors that the caller has left open for any child by mistake are closed
// in the waiter, and so are in no worker.
//
// # What a waiter does
//
//  1. Dispatch (package tfork) finds the marker in the environment, takes it
//     out and calls [Serve].
//  2. It ends with 125 if the kernel calls this execution privileged
//     (AT_SECURE), or if descriptor 3 is no socket that its parent has made.
//     (Where the kernel does not say who made it, step 9 finds out.)
//  3. It asks the kernel to stamp each message with the sender's process and
//     user, closes what it has inherited, lets the Go runtime open its network
//     poller while there is room (later that would end the process if there is
//     none), and takes its name. For the same reason it makes all its threads
//     now.
//  4. It takes down what the kernel says about the caller: ids, groups,
//     capabilities, filters, limits and so on (the table below).
//  5. It catches, and drops, every signal that can be caught, except those
//     that the caller ignores, which it ignores. SIGCHLD is at its default.
//     Execve gives the workers the dispositions that a worker of the caller's
//     own would have; SIGCHLD is always at its default there.
//  6. It gives its thread a working directory and umask of its own
//     (unshare(CLONE_FS)); the other threads go to "/".
//  7. It says "ready".
//  8. A thread receives one request. If no other thread is left to receive,
//     another one takes over, of up to eight.
//  9. A stamp of another process (where the kernel stamps with threads, of
//     none of the caller's), or a message that makes no sense, ends the waiter
//     with 122. Nothing is known about the other end then.
//  10. What the kernel says about the caller is compared with step 4. Is
//     anything different, the answer is "stale", and nothing is started: the
//     caller starts a new waiter, and this one goes on reporting those it has.
//     If the waiter itself was another than the caller's main thread from the
//     beginning (ids, groups, no_new_privs, filters), the answer is "split":
//     the thread that started it is another, and the start fails.
//  11. The thread goes to the caller's working directory, takes its umask, and
//     starts the worker with syscall.ForkExec. If that fails, it answers with
//     the errno.
//  12. It opens a pidfd, or two, while nobody can have reaped the worker, says
//     "started", with them, and goes back to "/".
//  13. If no thread waits for workers, this one does now: it looks who has ended
//     without reaping (WNOWAIT), then reaps that one under the lock under which
//     signals are sent, so that no signal hits a recycled pid, and says
//     "exited", with status and resource usage. When there is no worker left it
//     goes back to step 8.
//  14. What the caller's socket has no room for is kept and sent later, in
//     order; nothing else waits for that.
//  15. When the caller has closed its end, or has died, the workers that asked
//     for it get their death signal. The others live on. After the last one
//     the waiter ends with 0.
//
// A start that hangs in the kernel (execve from a dead network file system, a
// frozen cgroup) holds its thread, and after a while, when the Go runtime wants
// to stop all threads for a moment, the waiter. What may hang so is better off
// with Request.Dedicated; Direct would hold up the caller.
//
// Where unshare(CLONE_FS) is forbidden, one thread starts all workers, one
// after the other, and another one waits for them.
//
// # Exit codes of a waiter
//
//	0    all workers have ended, and the caller is gone or needs it no more
//	121  the process could not be made a waiter (no /proc/self/fd, or no room
//	     for descriptors)
//	122  a message was malformed, of another version, or a stranger's
//	123  code in the waiter itself (the program's init functions) took a status
//	124  the caller cannot be told anything (a sandbox forbids sendmsg)
//	125  the role was refused: privileged execution, or not the parent's socket
//	2    a Go panic; its text is lost in /dev/null
//
// # What if one of them dies now
//
//	who     when                    what the others see
//	caller  at any time             waiter: end of stream. Death signals are sent,
//	                                workers live on, the waiter ends after the last.
//	                                A request that is on its way is finished or not
//	                                begun. Nothing is left behind.
//	waiter  before "ready"          Spawn tries again with a new one, four in all.
//	waiter  during a start          Spawn: ErrGone; nobody knows whether the worker
//	                                runs. (If it was the last request, and was not
//	                                even read: Spawn tries a new waiter.)
//	waiter  while a worker runs     Done at once, with ErrGone, for all its workers.
//	                                They live on, children of init or a subreaper;
//	                                the caller's pidfds still show their ends. The
//	                                next Spawn starts a new waiter. Their death
//	                                signals are lost.
//	waiter  after "exited"          nothing: the status is there.
//	waiter  stopped (SIGSTOP)       it is continued within a second or two, as long
//	                                as it has workers or questions.
//	worker  before execve           the kernel's errno from Spawn, or the status
//	worker  later                   its status, once
//	worker  stopped, continued      nothing: that is no end
//
// Whoever steals the dead waiter's own status from the caller does no harm.
//
// # What a worker takes over
//
//	from the caller, at Spawn        program, arguments, environment, descriptors,
//	                                 working directory, umask
//	from the caller, by a new        user and group ids, groups, capabilities,
//	waiter when it has changed       no_new_privs, seccomp filters, session, process
//	                                 group, root directory, resource limits, nice
//	                                 value, processors and memory nodes, ignored
//	                                 signals
//	from the waiter's start          namespaces, cgroup, signal mask, scheduling
//	                                 policy, I/O priority, out-of-memory score,
//	                                 securebits, keyrings, timer slack, personality
//
// What the kernel does not say about the caller (the umask, before Linux 4.7; in
// some sandboxes also ignored signals and processors) is from the waiter's start
// too.
//
// For the last group there is Request.Dedicated: such a waiter takes all of it
// over from the moment of Spawn. The kernel is asked about the caller's main
// thread; what a program does to some of its threads only cannot be followed.
// Capabilities that are neither ambient nor root's by execve(2) are lost in the
// waiter, as they would be in a worker: a set-up before execve that needs them
// (Credential, Chroot) fails with EPERM.
//
// A caller that execve calls privileged each time (its file is set-uid or has
// file capabilities), or whose effective user is not the real one, gets no
// waiter: step 2.
//
// # What it costs
//
// A waiter has 2 MiB of private memory, and 1 KiB for each worker; the caller's
// size does not matter. It has some 27 threads, a dedicated one 14, of which
// nearly all sleep: up to eight start workers at the same time (in a dedicated
// one two), one waits for them, and the others are for the Go runtime. They are
// made before "ready", because a lack of tasks (pids.max, RLIMIT_NPROC) fails a
// start then; later the runtime, which can do without none that it wants, would
// end the waiter, and all statuses would be lost.
package waiter
