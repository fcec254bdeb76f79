// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package waiter

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/seed-cb702d51/tfork-go/internal/peer"
	"github.com/seed-cb702d51/tfork-go/internal/role"
	"github.com/seed-cb702d51/tfork-go/internal/sys"
	"github.com/seed-cb702d51/tfork-go/internal/wire"
)

// env is what a server does to the world around it.
type env struct {
	receive func(buf, oob []byte) (n, oobn, flags int, err error)
	observe func(f *facts, buf []byte) []byte // the caller
	spawn   func(path string, argv []string, attr *syscall.ProcAttr) (pid int, err error)
	pidfd   func(pid int) (int, error)
	wait    func(idType, id, options int) (sys.Waited, error)
	kill    func(pid int, sig syscall.Signal) error
	// thread tells whether a thread is the caller's; nil where the kernel
	// stamps messages with processes.
	thread func(tid int32) bool
	exit   func(code int)
}

// server is a waiter: the state that its threads share.
type server struct {
	env
	caller unix.Ucred
	// start are the facts about the caller at the waiter's start; sound tells
	// whether the waiter itself was the same then, split why not: it was not like
	// the caller's main thread, which the kernel is asked about.
	start facts
	sound bool
	split bool
	// own tells whether threads have a working directory and umask of their
	// own; without, only one thread starts workers.
	own bool

	// mu is held for a few instructions, or to reap or signal one worker; never
	// to send: a goroutine that is tied to its thread is slow to wake.
	mu      sync.Mutex
	byID    map[uint64]*worker // those whose start is on its way, too
	byPid   map[int]*worker    // those that run, or are not reaped yet
	reaping bool               // a thread waits for workers
	threads int                // that receive requests, or are about to
	most    int                // of them
	idle    int                // those in receive
	orphan  bool               // the caller has closed its end

	out *outbox
}

// worker is a process that the waiter starts, or has started.
type worker struct {
	id          uint64
	pid         int // 0: its start is on its way
	deathSignal syscall.Signal
}

func serve(fd int) { serveIn(systemEnv, fd) }

// serveIn does not return. Where the caller is gone, the last worker's end is the
// process's.
func serveIn(world func(fd int) env, fd int) {
	if code, err := setUp(fd); err != nil {
		exitGroup(code)
	}
	procs := runtime.GOMAXPROCS(0)
	makeThreads(procs + threadsOf(procs) + ownThreads)
	s := newServer(world(fd), socketOutbox(fd))
	s.threads, s.most = 1, threadsOf(procs)
	s.becomeFirst()
	s.reply(wire.AppendReady(nil), nil)
	s.newThread().run()
	select {}
}

// exitGroup ends the process at once: no deferred calls, no exit handlers.
func exitGroup(code int) {
	for {
		unix.RawSyscall(unix.SYS_EXIT_GROUP, uintptr(code), 0, 0)
	}
}

// setUp checks that the role is ours to play, and makes the process a waiter.
func setUp(fd int) (code int, err error) {
	if role.Secure() {
		return role.ExitRefused, role.ErrSecure
	}
	if err := checkSocket(fd); err != nil {
		return role.ExitRefused, err
	}
	unix.CloseOnExec(fd)
	if err := closeInherited(fd); err != nil {
		return exitSetup, err
	}
	// The runtime opens its poller with its first timer, which may be late (the
	// garbage collector has one), and ends the process if the table is full then.
	if err := sys.OpenPoller(); err != nil {
		return exitSetup, err
	}
	rename()
	return 0, nil
}

// checkSocket refuses everything but a socket whose other end was made by our
// parent, and makes the kernel stamp what comes through it. Where the kernel
// does not tell who made it, the stamps alone say whom we serve.
func checkSocket(fd int) error {
	maker, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return os.NewSyscallError("getsockopt", err)
	}
	kind, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	if err != nil {
		return os.NewSyscallError("getsockopt", err)
	}
	if parent := unix.Getppid(); int(maker.Pid) != parent && !peer.StampsThreads() || kind != unix.SOCK_SEQPACKET {
		return fmt.Errorf("socket of type %d from process %d, parent is %d", kind, maker.Pid, parent)
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PASSCRED, 1); err != nil {
		return os.NewSyscallError("setsockopt", err)
	}
	return os.NewSyscallError("fcntl", unix.SetNonblock(fd, false))
}

// closeInherited closes every descriptor that came through execve, except the
// first three (/dev/null) and keep. What this program has opened by itself
// since then is close-on-exec.
func closeInherited(keep int) error {
	fds, err := openFDs()
	for _, fd := range fds {
		if fd < 3 || fd == keep {
			continue
		}
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil && flags&unix.FD_CLOEXEC == 0 {
			unix.Close(fd)
		}
	}
	return err
}

// openFDs lists our descriptors. (An os.File would start the netpoller before it
// is known that there is room for it.)
func openFDs() (fds []int, err error) {
	dir, err := unix.Open("/proc/self/fd", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("open", err)
	}
	defer unix.Close(dir)
	buf := make([]byte, 4096)
	for {
		n, err := unix.ReadDirent(dir, buf)
		if err != nil || n <= 0 {
			return fds, os.NewSyscallError("getdents64", err)
		}
		_, _, names := unix.ParseDirent(buf[:n], -1, nil)
		for _, name := range names {
			if fd, err := strconv.Atoi(name); err == nil {
				fds = append(fds, fd)
			}
		}
	}
}

// rename makes ps and top show what the process is. They would show the name
// of the file that was executed: "exe".
func rename() {
	if fd, err := unix.Open("/proc/self/comm", unix.O_WRONLY|unix.O_CLOEXEC, 0); err == nil {
		unix.Write(fd, []byte(argv0))
		unix.Close(fd)
	}
}

// systemEnv is the real world.
func systemEnv(fd int) env {
	ppid := unix.Getppid()
	return env{
		receive: func(buf, oob []byte) (int, int, int, error) { return recvmsg(fd, buf, oob, 0) },
		observe: func(f *facts, buf []byte) []byte { return f.observe(ppid, buf) },
		spawn:   syscall.ForkExec,
		pidfd:   func(pid int) (int, error) { return unix.PidfdOpen(pid, 0) },
		wait:    sys.WaitID,
		kill:    syscall.Kill,
		thread:  callersThread(fd, ppid),
		exit:    exitGroup,
	}
}

// newServer takes down what the caller is at this moment.
func newServer(e env, out *outbox) *server {
	s := &server{
		env: e, out: out,
		caller: unix.Ucred{Pid: int32(unix.Getppid()), Uid: uint32(unix.Getuid()), Gid: uint32(unix.Getgid())},
		byPid:  map[int]*worker{}, byID: map[uint64]*worker{},
	}
	// Better gone, which the caller sees, than waited for in vain.
	out.mute = func() { e.exit(exitMute) }
	var self facts
	s.observe(&s.start, self.observe(unix.Getpid(), nil))
	// A caller that has given something up since it started us would have a
	// waiter that has not.
	s.split = string(self.kept) != string(s.start.kept)
	s.sound = !s.split && self.pgid == s.start.pgid && self.sid == s.start.sid
	return s
}

// becomeFirst makes the calling thread the first that serves. It alone keeps
// the working directory that the process inherited, for a request that means
// this one; everything else must not pin it.
func (s *server) becomeFirst() {
	holdSignals(s.start.ignored)
	s.own = isolate()
	if s.own {
		go unix.Chdir("/")
	}
}
