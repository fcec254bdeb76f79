// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package waiter

import (
	"bytes"
	"errors"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/seed-cb702d51/tfork-go/internal/wire"
)

// handle does what a message asks for.
func (t *thread) handle(m message) {
	var err error
	switch m.Kind {
	case wire.Spawn:
		err = t.handleSpawn(&m)
		closeAll(m.fds)
	case wire.Signal:
		err = t.handleSignal(m)
	}
	if err != nil {
		t.exit(exitProtocol)
		return
	}
	if t.takeReaping() {
		if t.own {
			t.reapWorkers()
		} else {
			go t.reapWorkers() // the only thread that starts workers stays free
		}
	}
}

// handleSignal signals a worker unless it has been reaped: both happen under
// the same lock, so the pid is still the worker's.
func (s *server) handleSignal(m message) error {
	ask, err := wire.ParseSignal(m.payload)
	if err != nil {
		return err
	}
	errno := syscall.ESRCH
	s.mu.Lock()
	if w := s.byID[ask.Worker]; w == nil || w.pid == 0 {
		// Reaped, or never there.
	} else if m.from.Uid != s.caller.Uid && !owns(m.from.Uid, w.pid) {
		errno = syscall.EPERM
	} else {
		errno = errnoOf(s.kill(w.pid, syscall.Signal(ask.Signal)))
	}
	s.mu.Unlock()
	s.reply(wire.AppendSignaled(nil, m.ID, uint32(errno)), nil)
	return nil
}

// owns tells whether a process runs under a user, by its real or saved id: the
// rule of kill(2) for a caller that has dropped the waiter's rights.
func owns(uid uint32, pid int) bool {
	text, err := readFile("/proc/"+strconv.Itoa(pid)+"/status", nil)
	if err != nil {
		return false
	}
	_, ids, _ := bytes.Cut(text, []byte("\nUid:\t"))
	ids, _, _ = bytes.Cut(ids, []byte("\n"))
	f := strings.Fields(string(ids))
	want := strconv.FormatUint(uint64(uid), 10)
	return len(f) == 4 && (f[0] == want || f[2] == want)
}

// errnoOf returns the errno in err, 0 for nil.
func errnoOf(err error) syscall.Errno {
	var errno syscall.Errno
	if err == nil || errors.As(err, &errno) {
		return errno
	}
	return syscall.EINVAL
}

// handleSpawn starts a worker, or says why not. An error is a violation of the
// protocol.
func (t *thread) handleSpawn(m *message) error {
	body, fds, err := m.unpack()
	if err != nil {
		return err
	}
	if m.full {
		closeAll(m.fds) // before anybody is encouraged to try again
		m.fds = nil
		t.refuse(m.ID, wire.RefusedInfo{Reason: wire.ByKernel, Errno: uint32(unix.EMFILE)})
		return nil
	}
	q, err := wire.ParseRequest(body)
	if err != nil {
		return err
	}
	if q.Files() != len(fds) {
		return errProtocol
	}
	attr, cwd, err := procAttr(q, fds)
	if err != nil {
		return err
	}
	if !t.sound && t.split {
		t.refuse(m.ID, wire.RefusedInfo{Reason: wire.Split})
		return nil
	}
	if !t.sameCaller(m.from) {
		t.refuse(m.ID, wire.RefusedInfo{Reason: wire.Stale})
		return nil
	}
	w := &worker{id: m.ID, deathSignal: syscall.Signal(q.DeathSignal)}
	if !t.begin(w) {
		return errProtocol
	}
	pid, err := t.start(q, attr, cwd)
	m.letGo()
	if err != nil {
		t.failed(w, errnoOf(err))
	} else {
		t.started(w, pid, q.Flags&wire.WantPidFD != 0)
	}
	return nil
}

// letGo gives up what the caller has lent for a start, its working directory too,
// before it hears of the outcome: a lock on a file, or a file system that it wants
// to unmount, would be ours for a moment longer.
func (m *message) letGo() {
	closeAll(m.fds)
	m.fds = nil
	unix.Chdir("/")
}

// sameCaller asks the kernel, not the caller, whether the caller is still
// what it was. A worker would otherwise get back what the caller has given up.
func (t *thread) sameCaller(from unix.Ucred) bool {
	if !t.sound || from != t.caller {
		return false
	}
	t.text = t.observe(&t.now, t.text)
	return t.now.equal(&t.server.start)
}

// begin notes that a start is on its way: until it has ended, nobody reaps a
// process that is not known yet. A request that was sent twice is not begun.
func (s *server) begin(w *worker) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byID[w.id] != nil {
		return false
	}
	s.byID[w.id] = w
	return true
}

// start runs the program in the caller's working directory and with its umask.
func (t *thread) start(q *wire.Request, attr *syscall.ProcAttr, cwd int) (pid int, err error) {
	if cwd >= 0 {
		if err := unix.Fchdir(cwd); err != nil {
			return 0, err
		}
	}
	if t.now.umask >= 0 && t.now.umask != t.umask {
		unix.Umask(t.now.umask)
		t.umask = t.now.umask
	}
	return t.spawn(q.Path, q.Args, attr)
}

func (s *server) failed(w *worker, errno syscall.Errno) {
	s.refuse(w.id, wire.RefusedInfo{Reason: wire.ByKernel, Errno: uint32(errno)})
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.byID, w.id)
	s.endIfDone()
}

func (s *server) refuse(id uint64, why wire.RefusedInfo) { s.reply(why.Append(nil, id), nil) }

// started tells the caller, and enters the worker. Until it is in byPid nobody
// reaps it, even if it has ended: the pidfds are the worker's, and the caller
// hears of its start before it hears of its end. From the moment that the
// caller knows of it, it can be signalled.
func (s *server) started(w *worker, pid int, forUser bool) {
	var fds []int
	for range 1 + boolInt(forUser) {
		if fd, err := s.pidfd(pid); err == nil {
			fds = append(fds, fd)
		}
	}
	info := wire.StartedInfo{Pid: uint32(pid), PidFDs: uint32(len(fds))}
	s.mu.Lock()
	w.pid = pid
	s.mu.Unlock()
	s.reply(info.Append(nil, w.id), fds)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.byPid[pid] = w
	if s.orphan {
		s.mourn(w)
	}
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// procAttr puts the request's parts and its descriptors together. cwd is the
// caller's working directory, or -1.
func procAttr(q *wire.Request, fds []int) (attr *syscall.ProcAttr, cwd int, err error) {
	next := func() int {
		fd := fds[0]
		fds = fds[1:]
		return fd
	}
	cwd = -1
	if q.Flags&wire.HasCwd != 0 {
		cwd = next()
	}
	files := make([]uintptr, len(q.Slots))
	for i, open := range q.Slots {
		files[i] = Closed
		if open {
			files[i] = uintptr(next())
		}
	}
	sys := sysProcAttr(q)
	if sys.Foreground {
		sys.Ctty = next()
	}
	if sys.UseCgroupFD {
		sys.CgroupFD = next()
	}
	if err := check(sys, len(files)); err != nil {
		return nil, -1, err
	}
	return &syscall.ProcAttr{Dir: q.Dir, Env: q.Env, Files: files, Sys: sys}, cwd, nil
}

// sysProcAttr is the inverse of addSys, without what needs descriptors. The
// death signal is the waiter's to send, not the kernel's.
func sysProcAttr(q *wire.Request) *syscall.SysProcAttr {
	has := func(f wire.Flags) bool { return q.Flags&f != 0 }
	sys := &syscall.SysProcAttr{
		Chroot: q.Chroot, Setsid: has(wire.Setsid), Setpgid: has(wire.Setpgid), Setctty: has(wire.Setctty),
		Noctty: has(wire.Noctty), Ctty: int(q.Ctty), Foreground: has(wire.Foreground), Pgid: int(q.Pgid),
		Cloneflags: uintptr(q.Cloneflags), Unshareflags: uintptr(q.Unshareflags),
		GidMappingsEnableSetgroups: has(wire.GidMappingsEnableSetgroups), UseCgroupFD: has(wire.UseCgroupFD),
	}
	if has(wire.HasCredential) {
		sys.Credential = &syscall.Credential{Uid: q.UID, Gid: q.GID, Groups: q.Groups, NoSetGroups: has(wire.NoSetGroups)}
	}
	if has(wire.HasUIDMap) {
		sys.UidMappings = idMappings(q.UIDMap)
	}
	if has(wire.HasGIDMap) {
		sys.GidMappings = idMappings(q.GIDMap)
	}
	for _, c := range q.AmbientCaps {
		sys.AmbientCaps = append(sys.AmbientCaps, uintptr(c))
	}
	return sys
}

// idMappings is never nil: nil would mean no mapping at all.
func idMappings(m []wire.IDMap) []syscall.SysProcIDMap {
	out := make([]syscall.SysProcIDMap, len(m))
	for i, e := range m {
		out[i] = syscall.SysProcIDMap{ContainerID: int(e.Container), HostID: int(e.Host), Size: int(e.Size)}
	}
	return out
}
