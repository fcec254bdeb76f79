// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package prefork

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"os/user"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/seed-cb702d51/tfork-go/prefork/config"
)

// socketPair returns two connected ends, close-on-exec.
func socketPair() (ours, theirs *os.File, err error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	return os.NewFile(uintptr(pair[0]), "channel"), os.NewFile(uintptr(pair[1]), "channel"), nil
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

// rlimits are the resources of [config.RLimitNames].
var rlimits = map[string]int{
	"as":      unix.RLIMIT_AS,
	"core":    unix.RLIMIT_CORE,
	"cpu":     unix.RLIMIT_CPU,
	"data":    unix.RLIMIT_DATA,
	"fsize":   unix.RLIMIT_FSIZE,
	"memlock": unix.RLIMIT_MEMLOCK,
	"nofile":  unix.RLIMIT_NOFILE,
	"nproc":   unix.RLIMIT_NPROC,
	"stack":   unix.RLIMIT_STACK,
}

// applyLimits limits the process that calls it.
func applyLimits(st config.Settings, instance int) error {
	for name, value := range st.RLimits {
		if err := unix.Setrlimit(rlimits[name], &unix.Rlimit{Cur: value, Max: value}); err != nil {
			return fmt.Errorf("rlimit-%s = %d: %w", name, value, os.NewSyscallError("setrlimit", err))
		}
	}
	if st.Nice != 0 {
		if err := eachThread(func(tid int) error { return unix.Setpriority(unix.PRIO_PROCESS, tid, st.Nice) }); err != nil {
			return fmt.Errorf("nice = %d: %w", st.Nice, os.NewSyscallError("setpriority", err))
		}
	}
	if len(st.CPUs) > 0 {
		cpu := st.CPUs[max(0, instance)%len(st.CPUs)]
		var set unix.CPUSet
		set.Set(cpu)
		if err := eachThread(func(tid int) error { return unix.SchedSetaffinity(tid, &set) }); err != nil {
			return fmt.Errorf("cpus: %d: %w", cpu, os.NewSyscallError("sched_setaffinity", err))
		}
	}
	return nil
}

// eachThread does something to all threads: nice and affinity belong to
// threads on Linux, and new ones take after those that start them. A thread
// that was started meanwhile is found by a second look.
func eachThread(f func(tid int) error) error {
	for range 2 {
		tasks, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return err
		}
		for _, task := range tasks {
			tid, _ := strconv.Atoi(task.Name())
			if err := f(tid); err != nil && !errors.Is(err, unix.ESRCH) {
				return err
			}
		}
	}
	return nil
}

// attributes are those of every process that is started: a process group of
// its own keeps a terminal's Ctrl-C for the supervisor, and lets what a worker
// leaves behind be found.
func attributes(st config.Settings, worker bool) (*syscall.SysProcAttr, error) {
	attr := &syscall.SysProcAttr{Setpgid: true}
	if !worker || st.User == "" && st.Group == "" {
		return attr, nil
	}
	cred := &syscall.Credential{Uid: uint32(os.Getuid()), Gid: uint32(os.Getgid())}
	if st.User != "" {
		u, err := findUser(st.User)
		if err != nil {
			return nil, fmt.Errorf("user = %q: %w", st.User, err)
		}
		cred.Uid, cred.Gid = id(u.Uid), id(u.Gid)
	}
	if st.Group != "" {
		g, err := findGroup(st.Group)
		if err != nil {
			return nil, fmt.Errorf("group = %q: %w", st.Group, err)
		}
		cred.Gid = id(g.Gid)
	}
	attr.Credential = cred
	return attr, nil
}

// findUser takes a name or a number.
func findUser(name string) (*user.User, error) {
	if _, err := strconv.ParseUint(name, 10, 32); err != nil {
		return user.Lookup(name)
	}
	if u, err := user.LookupId(name); err == nil {
		return u, nil
	}
	return &user.User{Uid: name, Gid: name}, nil // a number needs no entry
}

// findGroup takes a name or a number.
func findGroup(name string) (*user.Group, error) {
	if _, err := strconv.ParseUint(name, 10, 32); err != nil {
		return user.LookupGroup(name)
	}
	return &user.Group{Gid: name}, nil
}

// id is a number that was checked before.
func id(number string) uint32 {
	n, _ := strconv.ParseUint(number, 10, 32)
	return uint32(n)
}

// killGroup kills what is left of the process group that pid led.
func killGroup(pid int) {
	if pid > 1 {
		unix.Kill(-pid, unix.SIGKILL)
	}
}

// killCgroup kills all processes in the group and below; false where the
// kernel has no cgroup.kill (before 5.14).
func killCgroup(dir *os.File) (killed bool) {
	inCgroup(dir, "cgroup.kill", unix.O_WRONLY, func(fd int) {
		_, err := unix.Write(fd, []byte("1"))
		killed = err == nil
	})
	return killed
}

// cgroupPopulated tells whether there are processes in the group or below.
func cgroupPopulated(dir *os.File) (populated bool) {
	inCgroup(dir, "cgroup.events", unix.O_RDONLY, func(fd int) {
		b := make([]byte, 256)
		n, _ := unix.Read(fd, b)
		populated = strings.Contains(string(b[:max(n, 0)]), "populated 1")
	})
	return populated
}

// inCgroup opens a file of the group for f, if it can.
func inCgroup(dir *os.File, name string, mode int, f func(fd int)) {
	raw, err := dir.SyscallConn()
	if err != nil {
		return
	}
	raw.Control(func(at uintptr) {
		fd, err := unix.Openat(int(at), name, mode|unix.O_CLOEXEC, 0)
		if err != nil {
			return
		}
		defer unix.Close(fd)
		f(fd)
	})
}

// The signals of a worker: SIGTERM leaves with the code that brings a
// successor, SIGHUP opens the log again, SIGPIPE is no reason to die. All
// others do what they do in every Go program.
func (w *worker) signals() {
	c := make(chan os.Signal, 4)
	signal.Notify(c, unix.SIGTERM, unix.SIGHUP, unix.SIGPIPE)
	for sig := range c {
		switch sig {
		case unix.SIGTERM:
			go w.leaveBy("SIGTERM", ExitRestart)
		case unix.SIGHUP:
			w.reopen()
		}
	}
}

// The signals of a master.
func (m *master) signals() {
	c := make(chan os.Signal, 4)
	signal.Notify(c, unix.SIGTERM, unix.SIGHUP, unix.SIGPIPE, unix.SIGTTIN, unix.SIGTTOU)
	for sig := range c {
		switch sig {
		case unix.SIGTERM:
			m.log.Info("leaving", "reason", "SIGTERM")
			os.Exit(ExitRestart)
		case unix.SIGHUP:
			m.reopen()
		case unix.SIGTTIN:
			m.group.Do(func() { m.scale(1) })
		case unix.SIGTTOU:
			m.group.Do(func() { m.scale(-1) })
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
