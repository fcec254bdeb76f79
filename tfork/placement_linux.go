// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package tfork

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/seed-cb702d51/tfork-go/internal/cgroupfs"
	"github.com/seed-cb702d51/tfork-go/internal/sys"
	"github.com/seed-cb702d51/tfork-go/pidfd"
)

// place is where a worker shall be, and how it gets there.
type place struct {
	dir int // our own descriptor of the cgroup directory
	way Placement
	// status is our end of the pipe on which a joining process says why it
	// could not begin.
	status *os.File
}

// locate opens c's cgroup, checks that a worker can be put there, and decides
// on the way. The answer is nil for a Cmd without one.
func (c *Cmd) locate(l *launch) (*place, error) {
	if c.Cgroup == nil {
		return nil, nil
	}
	if l.sys != nil && l.sys.UseCgroupFD {
		return nil, errCgroupTwice
	}
	dir, err := duplicate(c.Cgroup)
	if err != nil {
		return nil, fmt.Errorf("tfork: Cmd.Cgroup: %w", err)
	}
	var undo sys.Cleanup
	defer undo.Run()
	undo.Add(func() { unix.Close(dir) })
	// A start in a frozen cgroup would block. Whatever else is wrong the start
	// itself says, and is explained then.
	frozen, err := cgroupfs.Frozen(dir)
	if err == nil && frozen {
		err = &cgroupfs.Error{Path: c.Cgroup.Name(), Cause: cgroupfs.ErrFrozen}
	}
	if err != nil {
		return nil, fmt.Errorf("tfork: Cmd.Cgroup: %w", err)
	}
	way, err := c.placement(pidfd.HaveIntoCgroup(), func() error { return joinPossible(l) })
	if err != nil {
		return nil, err
	}
	undo.Disarm()
	return &place{dir: dir, way: way}, nil
}

// duplicate returns a descriptor of our own, without making f's blocking.
func duplicate(f *os.File) (int, error) {
	conn, err := f.SyscallConn()
	if err != nil {
		return -1, err
	}
	dup := -1
	var dupErr error
	err = conn.Control(func(fd uintptr) { dup, dupErr = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0) })
	if err == nil && dupErr != nil {
		err = os.NewSyscallError("fcntl F_DUPFD_CLOEXEC", dupErr)
	}
	return dup, err
}

// errJoinChroot: the launcher is this program, which a chroot hides.
var errJoinChroot = errors.New("SysProcAttr.Chroot leaves no way to start the launcher")

// joinPossible tells why the worker cannot join by itself.
func joinPossible(l *launch) error {
	if l.sys != nil && l.sys.Chroot != "" {
		return errJoinChroot
	}
	return waiterPossible() // the same needs: Dispatch, privileges, /proc
}

// enter arranges l so that the new process gets into the cgroup.
func (p *place) enter(c *Cmd, l *launch) error {
	switch p.way {
	case PlacedBorn:
		var attr syscall.SysProcAttr
		if l.sys != nil {
			attr = *l.sys
		}
		attr.UseCgroupFD, attr.CgroupFD = true, p.dir
		l.sys = &attr
	case PlacedJoined:
		return p.enterByJoining(c, l)
	}
	return nil
}

// enterByJoining gives the new process, behind its boot record and lifeline,
// the cgroup's cgroup.procs and a pipe for its status.
func (p *place) enterByJoining(c *Cmd, l *launch) error {
	if err := cgroupfs.Check(p.dir); err != nil {
		return fmt.Errorf("tfork: Cmd.Cgroup: %w", err)
	}
	// Opened here, because the right to write is that of the opener: the
	// worker may be another user.
	procs, err := unix.Openat(p.dir, "cgroup.procs", unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return p.blame(os.NewSyscallError("openat cgroup.procs", err))
	}
	c.childFDs = append(c.childFDs, childFD(procs))
	worker, ours, err := newPipe(workerWrites)
	if err != nil {
		return err
	}
	c.childFDs = append(c.childFDs, worker)
	p.status = ours
	l.files = append(l.files, uintptr(procs), uintptr(worker))
	return nil
}

// confirm returns once the new process is inside, or why it is not. After a
// joining start the caller's copies of the worker's descriptors must be closed
// before.
func (p *place) confirm(pid int) error {
	switch p.way {
	case PlacedJoined:
		return p.joined()
	case PlacedMoved:
		err := cgroupfs.Move(p.dir, pid)
		if errors.Is(err, unix.ESRCH) {
			return nil // it has ended already, and its status tells how
		}
		return err
	}
	return nil
}

// joined reads what the joining process says: nothing once it executes the
// program or runs the function.
func (p *place) joined() error {
	var report [reportSize]byte
	n, err := p.status.Read(report[:])
	if n == 0 {
		return nil // end of file
	}
	if n != len(report) {
		return fmt.Errorf("tfork: Cmd.Cgroup: joining: %d bytes of a report, %w", n, err)
	}
	errno := syscall.Errno(binary.LittleEndian.Uint32(report[4:]))
	if binary.LittleEndian.Uint32(report[:]) == stageExec {
		return errno // as if the start itself had answered it
	}
	return p.blame(os.NewSyscallError("write cgroup.procs", errno))
}

// blame names the cgroup where it is the cause.
func (p *place) blame(err error) error {
	explained := cgroupfs.Explain(p.dir, err)
	var e *cgroupfs.Error
	if errors.As(explained, &e) {
		return fmt.Errorf("tfork: Cmd.Cgroup: %w", explained)
	}
	return explained
}

// close gives up what only the start needed, and unless the worker is on its
// way everything.
func (p *place) close(started bool) {
	if p.status != nil {
		p.status.Close()
	}
	if !started {
		unix.Close(p.dir)
	}
}

// What a joining process reports: the stage that failed, and the errno.
const (
	stageJoin = iota + 1
	stageExec

	reportSize = 8
)

func reportFailure(status, stage int, err error) {
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		errno = unix.EIO
	}
	var report [reportSize]byte
	binary.LittleEndian.PutUint32(report[:], uint32(stage))
	binary.LittleEndian.PutUint32(report[4:], uint32(errno))
	unix.Write(status, report[:])
}

// join is the worker's side: it takes procs, and moves this process.
func join(procs, status int) error {
	unix.CloseOnExec(status)
	defer unix.Close(procs)
	for {
		_, err := unix.Write(procs, []byte("0"))
		switch err {
		case nil:
			return nil
		case unix.EINTR:
			continue
		}
		reportFailure(status, stageJoin, err)
		return os.NewSyscallError("write cgroup.procs", err)
	}
}

// evidence reads the cgroup's counters after the end, and before the start the
// one that must have moved.
type evidence struct {
	dir    int
	before cgroupfs.Counters
}

// newEvidence takes p's directory.
func newEvidence(p *place) *evidence {
	before, err := cgroupfs.ReadOOM(p.dir)
	if err != nil {
		before = cgroupfs.Counters{} // nothing can be said about the difference
	}
	return &evidence{dir: p.dir, before: before}
}

// complete fills in what the cgroup tells. It comes before the status is told,
// so that nobody can have removed the cgroup because of that.
func (e *evidence) complete(st *Status) {
	after, err := cgroupfs.Read(e.dir)
	if err != nil {
		return
	}
	killed := st.Signaled() && st.Signal() == unix.SIGKILL
	st.cgroup.oomKilled = after.OOMKilled(e.before, killed)
	if after.HasPeak {
		st.cgroup.peak = after.PeakMemory
	}
	st.cgroup.cpu, st.cgroup.hasCPU = after.CPUTime, after.HasCPU
}

func (e *evidence) close() { unix.Close(e.dir) }
