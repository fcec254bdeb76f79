// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

// Package prefork runs services in trees of processes, as Samba's prefork
// process model does: a supervisor, a master for each service that serves
// nobody and restarts its workers, and any number of workers.
//
//	supervisor                        the program itself: Server.Run
//	 ├─ http[master]                  Init, BeforeLoop
//	 │   ├─ http(0)                   PostFork, BeforeLoop, Serve
//	 │   └─ http(1)
//	 └─ alone[master]                 InhibitPrefork: serves by itself
//
// Every link is a tfork.Cmd, so no death is missed and no status is lost:
//
//	func main() {
//		prefork.Register(prefork.Service{Name: "http", Serve: serve})
//		tfork.Dispatch()
//		s, err := prefork.New(prefork.Options{Config: conf})
//		...
//		err = s.Run(ctx)
//	}
//
// # Promise
//
//  1. A worker or master that ends is followed by another one as the tables of
//     the model say: after any exit code but 0 and after a crash or SIGKILL,
//     at the first time at once, then after a growing delay; not after exit
//     code 0 nor after a signal that people send. A start that fails is a death
//     too. Everybody else stays responsive meanwhile.
//  2. Sockets are opened once, by the supervisor. No death of a worker or a
//     master closes a port; what waits in the queue waits for the next worker.
//     A connection wakes one worker, and idle workers take turns (package
//     accept).
//  3. When a process's parent in this tree is gone, whatever ended it, the
//     process finishes what it serves, in at most its StopTimeout, and exits
//     with 0. Nobody stays behind.
//  4. A stop or a reload drops no connection that was accepted (with
//     [ServeHTTP], or a Serve that finishes what it has). A reload changes
//     everything or nothing: see [Server.Reload]. Who connects during a stop is
//     refused, as soon as no worker listens any more.
//  5. A worker that is hung, does not leave in time, or exceeds its limits is
//     replaced, with SIGABRT for its stack and SIGKILL for all it started. What
//     a worker leaves behind in its process group, or its cgroup, ends with it.
//  6. Every process has a name and answers at it ([Processes], [Ping]); after
//     any crash the next start finds nothing stale.
//
// # What it is not
//
// Not a container and not a sandbox: a worker that leaves its process group
// (setsid) is only found again by a cgroup, see [Service.Cgroup]. Not a load
// balancer: it does not know which worker is busy, only which one waits.
// The processes share no memory, and a master has nothing in memory that
// its workers could inherit: hand it over with [Task.Share].
//
// It differs from its model on purpose: a failed start does not end the
// supervisor; a process whose status is not available is killed before it is
// replaced, not after; a service that fails does not end the others; numbers in
// the configuration are checked; SIGTERM lets a worker finish first.
//
// # Sockets
//
// All workers share each socket, unless reuse-port gives every worker one of its
// own. What that changes:
//
//	                      shared                        reuse-port
//	a connection goes to  the worker that waits longest the one that its address says,
//	                                                    however busy it is
//	it costs              a thread's wait (see accept)  less, with net's own listener
//	a datagram wakes      all idle workers              one worker
//	a worker dies         the others take its share     its queue waits for its successor
//	fewer by SIGTTOU      nothing                       refused below the number at the
//	or a reload                                         start: it opened the sockets
//	a worker's exit 0     nothing                       its queue waits, and nobody comes:
//	                                                    the log says so
//
// So reuse-port is for workers that do not leave for good. Where one process
// serves alone it does nothing. docs/prefork-bench.md measures both.
//
// # Signals
//
//	             supervisor           master                worker
//	TERM         stop; twice: kill    exit 127: restarted   finish, exit 127: restarted
//	INT          as TERM              default: ended        default: ended, for good
//	HUP          all logs again       its own logs and      its own log again
//	                                  its workers'
//	USR2         reload               default               default
//	TTIN, TTOU   one worker more,     in its service        default
//	             less, everywhere
//
// Masters and workers lead process groups of their own: Ctrl-C on a terminal
// reaches the supervisor only.
//
// # Service manager
//
// Below systemd the supervisor takes the sockets passed to it ("systemd:NAME" in
// the configuration), says when it is ready, reloads and stops, and feeds the
// watchdog as long as it looks after its processes. HUP means the logs, so a
// reload needs its line:
//
//	[Service]
//	Type=notify-reload
//	ReloadSignal=SIGUSR2
//	WatchdogSec=30
//	KillMode=mixed
//	ExecStart=/usr/bin/server
//
// TimeoutStopSec must be above the stop-timeout of the services. With
// Type=notify, without a ReloadSignal: ExecReload=kill -USR2 $MAINPID.
//
// # Outcomes
//
//	hung worker                 SIGABRT, its stack in the log, AbortGrace later
//	                            SIGKILL; restarted
//	all paused, and continued   nobody counts as hung: who misses a sign of life is
//	                            doubted first, for a third of HeartbeatTimeout
//	master hangs in a hook      the same as a hung worker, after ReadyTimeout
//	worker ignores its stop     SIGKILL after StopTimeout
//	crash loop                  growing delays; with RestartLimit the service
//	                            fails, the others go on, Run returns FailedError
//	worker ignores SIGTERM      it stays; a stop or a reload ends it as above
//	all workers exit with 0     the service is done, as one that serves alone; Run
//	                            returns when all are. With children = 0 none is
//	worker leaves grandchildren killed with the worker's process group or cgroup
//	master is killed            its workers finish and leave, in StopTimeout, or
//	                            are killed; what they leave behind, too
//	all are killed at once      the same, by whoever outlives the others; if
//	                            nobody does, what workers left behind lives on
//	fork bomb                   as above; limit it by rlimit-nproc or a cgroup
//	out of memory               the log and the successor's row in the process
//	                            table name the OOM killer; restarted
//	runtime directory full      at the start: an error. Later: the process starts
//	                            without a name and serves; the log says so
//	directory of a crashed run  swept; processes that are still leaving are
//	                            waited for, then ErrInUse
//	two servers, one directory  ErrInUse for the second, with the pid of the first
//	PID 1 of a container        orphans are reaped, and only they
//
// # Kernel needs
//
// Linux, what tfork needs, and EPOLLEXCLUSIVE (4.5). A cgroup is killed at once
// from 5.14 on (cgroup.kill), before that one process after the other. On other
// systems [New] returns an error that is errors.ErrUnsupported.
//
// # Who owns which descriptor
//
//	what                          holder
//	listening sockets             the supervisor, and everybody below it
//	channel, upper and lower end  one process each; its end of file means that
//	                              the other process is gone
//	socket of a name              the process of that name
//	pin of a socket's file        who supervises that process
//	log file                      each process its own; at a HUP of the supervisor or a
//	                              master those below get the new one from it
//	Service.Cgroup's directory    given to the master, closed when the worker is gone
//
// # Concurrency
//
// A [Server]'s methods may be called by many goroutines, Run once. In the
// supervisor and in each master one goroutine owns all state; hooks run in
// processes of their own, one after the other.
package prefork
