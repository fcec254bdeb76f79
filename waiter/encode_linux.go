// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package waiter

import (
	"math"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/seed-cb702d51/tfork-go/internal/sys"
	"github.com/seed-cb702d51/tfork-go/internal/wire"
)

// request is a Request as it travels: the record, and the descriptors beside
// it, which are lent except for the working directory.
type request struct {
	wire.Request
	fds []int
	cwd int // -1: none
	// inheritCwd: the working directory cannot be opened (it may not be
	// searched); a new waiter inherits it, as a worker of our own would.
	inheritCwd bool
	pidFD      *int
}

// encode checks what cannot work before anything is started.
func encode(r *Request) (*request, error) {
	q := &request{cwd: -1}
	q.Path, q.Args, q.Env, q.Dir = r.Path, r.Args, r.Env, r.Dir
	q.openCwd(r.Sys)
	if err := q.addFiles(r.Files); err != nil {
		q.close()
		return nil, err
	}
	if r.Sys == nil {
		return q, nil
	}
	if err := q.addSys(r.Sys); err != nil {
		q.close()
		return nil, err
	}
	return q, nil
}

// openCwd lends the waiter our working directory, if anything is relative to
// it. O_PATH needs no permission to read the directory.
func (q *request) openCwd(sys *syscall.SysProcAttr) {
	if filepath.IsAbs(q.Dir) && (sys == nil || sys.Chroot == "" || filepath.IsAbs(sys.Chroot)) {
		return
	}
	fd, err := unix.Open(".", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		q.inheritCwd = true
		return
	}
	q.cwd = fd
	q.fds = append(q.fds, fd)
	q.Flags |= wire.HasCwd
}

func (q *request) close() { closePidFD(q.cwd) }

func (q *request) addFiles(files []uintptr) error {
	q.Slots = make([]bool, len(files))
	for i, f := range files {
		if f == Closed {
			continue
		}
		if f > math.MaxInt32 {
			return syscall.EBADF
		}
		q.Slots[i] = true
		q.fds = append(q.fds, int(f))
	}
	return nil
}

// mayClone are the clone flags that mean something through a waiter. The
// others would share the waiter's own memory, files or threads with the
// worker, or take the worker away from it.
const mayClone = unix.CLONE_NEWNS | unix.CLONE_NEWCGROUP | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC |
	unix.CLONE_NEWUSER | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWTIME |
	unix.CLONE_VM | unix.CLONE_VFORK | unix.CLONE_UNTRACED

// check refuses what cannot work, or not through a waiter.
func check(attr *syscall.SysProcAttr, files int) error {
	switch {
	case attr.Ptrace:
		return &FieldError{"Ptrace", "the tracer would be the waiter; start a traced worker directly"}
	case attr.Cloneflags&^mayClone != 0:
		return &FieldError{"Cloneflags", "only namespaces (CLONE_NEW...) can be asked for through a waiter"}
	case attr.Pdeathsig < 0 || attr.Pdeathsig > 64:
		return syscall.EINVAL
	case int(int32(attr.Ctty)) != attr.Ctty || int(int32(attr.Pgid)) != attr.Pgid:
		return syscall.EINVAL
	case attr.UseCgroupFD && attr.CgroupFD < 0:
		return syscall.EINVAL
	}
	return sys.CheckAttributes(attr, files)
}

func (q *request) addSys(sys *syscall.SysProcAttr) error {
	if err := check(sys, len(q.Slots)); err != nil {
		return err
	}
	q.Chroot, q.pidFD = sys.Chroot, sys.PidFD
	q.Ctty, q.Pgid, q.DeathSignal = int32(sys.Ctty), int32(sys.Pgid), uint32(sys.Pdeathsig)
	q.Cloneflags, q.Unshareflags = uint64(sys.Cloneflags), uint64(sys.Unshareflags)
	q.flag(wire.Setsid, sys.Setsid)
	q.flag(wire.Setpgid, sys.Setpgid)
	q.flag(wire.Setctty, sys.Setctty)
	q.flag(wire.Noctty, sys.Noctty)
	q.flag(wire.Foreground, sys.Foreground)
	q.flag(wire.HasUIDMap, sys.UidMappings != nil)
	q.flag(wire.HasGIDMap, sys.GidMappings != nil)
	q.flag(wire.GidMappingsEnableSetgroups, sys.GidMappingsEnableSetgroups)
	q.flag(wire.UseCgroupFD, sys.UseCgroupFD)
	q.flag(wire.WantPidFD, sys.PidFD != nil)
	if c := sys.Credential; c != nil {
		q.flag(wire.HasCredential, true)
		q.flag(wire.NoSetGroups, c.NoSetGroups)
		q.UID, q.GID, q.Groups = c.Uid, c.Gid, c.Groups
	}
	q.UIDMap, q.GIDMap = wireMap(sys.UidMappings), wireMap(sys.GidMappings)
	for _, c := range sys.AmbientCaps {
		q.AmbientCaps = append(q.AmbientCaps, uint64(c))
	}
	if sys.Foreground {
		q.fds = append(q.fds, sys.Ctty)
	}
	if sys.UseCgroupFD {
		q.fds = append(q.fds, sys.CgroupFD)
	}
	return nil
}

func (q *request) flag(f wire.Flags, set bool) {
	if set {
		q.Flags |= f
	}
}

func wireMap(m []syscall.SysProcIDMap) (out []wire.IDMap) {
	for _, e := range m {
		out = append(out, wire.IDMap{Container: int64(e.ContainerID), Host: int64(e.HostID), Size: int64(e.Size)})
	}
	return out
}
