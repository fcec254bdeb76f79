// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package prefork

import (
	"fmt"
	"net"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/seed-cb702d51/tfork-go/prefork/internal/names"
	"github.com/seed-cb702d51/tfork-go/prefork/internal/orphan"
)

// socketPair returns two connected ends, close-on-exec.
func socketPair() (ours, theirs *os.File, err error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	return os.NewFile(uintptr(pair[0]), "channel"), os.NewFile(uintptr(pair[1]), "channel"), nil
}

// sendNow writes as much as there is room for, without waiting, and returns how
// much that was; f, which may be nil, goes with it. Why it was not all of it is
// what the next write will find.
func sendNow(conn net.Conn, b []byte, f *os.File) (n int) {
	socket, ok := conn.(syscall.Conn)
	if !ok {
		return 0
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return 0
	}
	send := func(oob []byte) {
		raw.Control(func(fd uintptr) {
			n, _ = unix.SendmsgN(int(fd), b, oob, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
		})
	}
	if f == nil {
		send(nil)
	} else if lent, err := f.SyscallConn(); err == nil {
		lent.Control(func(fd uintptr) { send(unix.UnixRights(int(fd))) })
	}
	return max(n, 0)
}

// readWithFile reads, and takes the file that came with it, if there is one.
func readWithFile(conn net.Conn, b []byte) (int, *os.File, error) {
	socket, ok := conn.(*net.UnixConn)
	if !ok {
		n, err := conn.Read(b)
		return n, nil, err
	}
	oob := make([]byte, unix.CmsgSpace(4)) // room for one
	n, oobn, _, _, err := socket.ReadMsgUnix(b, oob)
	messages, _ := unix.ParseSocketControlMessage(oob[:oobn]) // of the kernel's own making
	for _, m := range messages {
		if fds, err := unix.ParseUnixRights(&m); err == nil && len(fds) == 1 {
			return n, os.NewFile(uintptr(fds[0]), "handed down"), nil
		}
	}
	return n, nil, err
}

// setReusePort lets several sockets have one address, for the same user only.
func setReusePort(raw syscall.RawConn) error {
	var setErr error
	if err := raw.Control(func(fd uintptr) {
		setErr = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
	}); err != nil {
		return err
	}
	return os.NewSyscallError("setsockopt", setErr)
}

// setComm sets the name of the whole process. It is decoration: failing
// changes nothing.
func setComm(name string) { os.WriteFile("/proc/self/comm", []byte(name), 0o644) }

// residentMemory is the second field of /proc/self/statm, in pages.
func residentMemory() uint64 {
	statm, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(statm))
	if len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.ParseUint(fields[1], 10, 64)
	return pages * uint64(os.Getpagesize())
}

// attributes are those of every process that is started: a process group of
// its own keeps a terminal's Ctrl-C for the supervisor, and lets what a worker
// leaves behind be found.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// killGroup kills what is left of the process group that pid led.
func killGroup(pid int) {
	if pid > 1 {
		unix.Kill(-pid, unix.SIGKILL)
	}
}

// killOwnGroup kills everybody else in the process group that this process
// leads. Those that go on starting others are ended in the one way that leaves
// no gap, which ends this process as well.
func killOwnGroup() {
	own := os.Getpid()
	if unix.Getpgrp() != own {
		return
	}
	for range 100 {
		others := membersOfGroup(own)
		if len(others) == 0 {
			return
		}
		for _, pid := range others {
			unix.Kill(pid, unix.SIGKILL)
		}
	}
	killGroup(own)
}

// membersOfGroup returns the live processes of a process group but its leader.
func membersOfGroup(leader int) (found []int) {
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid <= 1 || pid == leader {
			continue
		}
		if group, err := unix.Getpgid(pid); err != nil || group != leader {
			continue
		}
		if !orphan.Zombie(pid) {
			found = append(found, pid)
		}
	}
	return found
}

// catchSignals connects the signals of a process that was started. It comes
// first of all: by default a SIGTERM ends a process for good.
func catchSignals(role string) caught {
	c := caught{term: make(chan os.Signal, 1), others: make(chan os.Signal, 4)}
	signal.Notify(c.term, unix.SIGTERM)
	signal.Notify(c.others, unix.SIGHUP, unix.SIGPIPE)
	if role == names.Master {
		signal.Notify(c.others, unix.SIGTTIN, unix.SIGTTOU)
	}
	return c
}

// The signals of a worker: SIGTERM leaves with the code that brings a
// successor, SIGHUP opens the log again, SIGPIPE is no reason to die. All
// others do what they do in every Go program.
func (w *worker) signals() {
	for {
		select {
		case <-w.caught.term:
			go w.leaveBy("SIGTERM", ExitRestart)
		case sig := <-w.caught.others:
			if sig == unix.SIGHUP {
				w.reopens.ask(nil)
			}
		}
	}
}

// The signals of a master.
func (m *master) signals() {
	for {
		select {
		case <-m.caught.term:
			m.log.Info("leaving", "reason", "SIGTERM")
			os.Exit(ExitRestart)
		case sig := <-m.caught.others:
			switch sig {
			case unix.SIGHUP:
				m.reopens.ask(nil)
			case unix.SIGTTIN:
				m.group.Do(func() { m.scale(1) })
			case unix.SIGTTOU:
				m.group.Do(func() { m.scale(-1) })
			}
		}
	}
}

// notifySignals connects the supervisor's signals.
func notifySignals(c chan os.Signal) {
	signal.Notify(c, unix.SIGTERM, unix.SIGINT, unix.SIGHUP, unix.SIGUSR2, unix.SIGTTIN, unix.SIGTTOU, unix.SIGPIPE)
}

// onSignal does what the supervisor's signals mean.
func (s *Server) onSignal(sig os.Signal) {
	switch sig {
	case unix.SIGTERM, unix.SIGINT:
		s.stopOrKill(sig.String())
	case unix.SIGHUP:
		s.Reopen()
	case unix.SIGUSR2:
		s.Reload()
	case unix.SIGTTIN:
		s.Scale("", 1)
	case unix.SIGTTOU:
		s.Scale("", -1)
	}
}

// imagePath is the path by which any process of the same user can execute an
// open file of this one.
func imagePath(f *os.File) (path string) {
	raw, err := f.SyscallConn()
	if err != nil {
		return f.Name()
	}
	raw.Control(func(fd uintptr) { path = fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), fd) })
	return path
}

const (
	sigabrt = unix.SIGABRT
	// noSignal only asks whether the process is there.
	noSignal = syscall.Signal(0)
)
