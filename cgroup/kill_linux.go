// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package cgroup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-cb702d51/tfork-go/internal/cgroupfs"
	"github.com/seed-cb702d51/tfork-go/internal/sys"
)

// killTime bounds the fallback before cgroup.kill. Killed processes leave the
// group at once, also a frozen one, unless the kernel hangs.
const killTime = 10 * time.Second

func (g *Group) kill() error {
	// First what needs no descriptor: there is nothing to kill in a removed group,
	// and nothing to be done with a closed one.
	removed := false
	err := g.with(func(fd int) error {
		if removed = hasNoFiles(fd); removed {
			return nil
		}
		return g.spareCaller()
	})
	if removed || err != nil {
		return err
	}
	err = g.with(func(fd int) error { return writeAt(fd, "cgroup.kill", "1") })
	switch {
	case err == nil || g.gone():
		return nil
	case err == unix.ENOENT:
		return g.killOneByOne()
	case err == unix.EOPNOTSUPP:
		return &Error{Path: g.path, Cause: ErrThreaded, Err: os.NewSyscallError("write cgroup.kill", err)}
	}
	if errno, ok := err.(syscall.Errno); ok {
		err = &os.PathError{Op: "kill", Path: g.path, Err: errno}
	}
	return explainControl(g.path, err)
}

// killOneByOne is for kernels without cgroup.kill. A frozen process cannot
// fork and still dies of SIGKILL, so once the group has frozen, one pass over
// its processes gets them all.
func (g *Group) killOneByOne() error {
	ours, err := g.orderFreeze()
	if err != nil {
		return err
	}
	if ours {
		defer g.write("cgroup.freeze", "0")
	}
	ctx, cancel := context.WithTimeout(context.Background(), killTime)
	defer cancel()
	return g.killListed(ctx)
}

// killListed kills all that is listed, pass by pass until nothing is left: what
// was inside fork at one pass is seen at the next. It takes no number for known:
// that of a process that has ended may have a new owner, and a start time does
// not tell the two apart if both began within one tick. A second SIGKILL does
// no harm to one that is dying.
//
// What is listed as 0 is of another pid namespace, and then stays, or has just
// given back its number on its way out.
func (g *Group) killListed(ctx context.Context) error {
	var pids []int
	err := poll(ctx, func() (bool, error) {
		var err error
		if pids, err = g.procs(); err != nil {
			return false, err
		}
		for _, pid := range pids {
			if pid == 0 {
				continue
			}
			if err := g.killMember(pid); err != nil {
				return false, err
			}
		}
		return g.empty()
	})
	switch {
	case err == nil || err != ctx.Err():
		return err
	case slices.Contains(pids, 0):
		return fmt.Errorf("kill %s: processes of another pid namespace are inside, and this kernel has no cgroup.kill (Linux 5.14): %w", g.path, err)
	}
	return fmt.Errorf("kill %s: processes %v are still there: %w", g.path, pids, err)
}

// orderFreeze freezes the group unless somebody else has; it tells whether the
// order is ours to take back.
func (g *Group) orderFreeze() (ours bool, err error) {
	b, err := os.ReadFile(filepath.Join(g.path, "cgroup.freeze"))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil // before Linux 5.2: passes alone must do
	}
	if n, _ := cgroupfs.Number(b); n != 0 || err != nil {
		return false, err
	}
	return true, g.write("cgroup.freeze", "1")
}

// killMember kills the process that the pidfd has pinned, if that one is in
// the group: the number may have got a new owner since it was read. Where there
// is no pidfd (old kernels, sandboxes, no descriptor left) that is a race, and
// killing by number all that can be done. A process that is gone is no error.
func (g *Group) killMember(pid int) error {
	send := func() error { return unix.Kill(pid, unix.SIGKILL) }
	fd, err := unix.PidfdOpen(pid, 0)
	switch err {
	case unix.ESRCH:
		return nil
	case nil:
		defer unix.Close(fd)
		if unix.PidfdSendSignal(fd, 0, nil, 0) == nil {
			send = func() error { return unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0) }
		}
	}
	if inside, err := g.holds("/proc/" + strconv.Itoa(pid) + "/cgroup"); err != nil || !inside {
		return nil // what cannot be told is told at the next pass
	}
	if err := send(); err != nil && err != unix.ESRCH {
		return fmt.Errorf("kill %s: process %d: %w", g.path, pid, os.NewSyscallError("kill", err))
	}
	return nil
}

// spareCaller is ErrSelf if this process is in the group or below. Not to know is
// an error too: taken for a no, it would end the caller, or stop it for good.
func (g *Group) spareCaller() error {
	inside, err := g.holds("/proc/self/cgroup")
	switch {
	case err != nil:
		return fmt.Errorf("tell whether the calling process is in %s itself: %w", g.path, err)
	case inside:
		return &Error{Path: g.path, Cause: ErrSelf}
	}
	return nil
}

// holds tells whether the process of a /proc/PID/cgroup file is in the group
// or below.
func (g *Group) holds(file string) (bool, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return false, err
	}
	cgroup, ok := cgroupfs.ParseSelf(text)
	if !ok {
		return false, nil // in no v2 cgroup at all
	}
	m, err := cgroupfs.FindMount()
	if err != nil {
		return false, err
	}
	dir, ok := m.Dir(cgroup)
	if !ok {
		return false, nil // outside of all that can be seen here
	}
	return g.isAbove(dir, m.Point)
}

// isAbove tells whether a directory is the group's or below it. Another name says
// nothing: the group may have been opened through a link, or another mount.
func (g *Group) isAbove(dir, mount string) (bool, error) {
	if dir == g.path || strings.HasPrefix(dir, g.path+"/") {
		return true, nil
	}
	own, err := g.dir.Stat()
	if err != nil { // closed: there is only the path
		own, err = os.Stat(g.path)
	}
	for ; err == nil; dir = filepath.Dir(dir) {
		now, statErr := os.Stat(dir)
		switch {
		case statErr == nil && os.SameFile(own, now):
			return true, nil
		case statErr != nil && !errors.Is(statErr, fs.ErrNotExist):
			return false, statErr
		case dir == mount:
			return false, nil
		}
	}
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil // a removed one holds nobody
	}
	return false, err
}

func (g *Group) freeze(ctx context.Context) error {
	if err := g.spareCaller(); err != nil {
		return err
	}
	if err := g.explainFreeze(g.write("cgroup.freeze", "1")); err != nil {
		return err
	}
	err := poll(ctx, func() (bool, error) {
		frozen, err := g.event("frozen")
		return frozen != 0, err
	})
	if err != nil && err == ctx.Err() {
		return fmt.Errorf("freeze %s: processes are still running: %w", g.path, err)
	}
	return err
}

func (g *Group) thaw() error { return g.explainFreeze(g.write("cgroup.freeze", "0")) }

func (g *Group) explainFreeze(err error) error {
	if errors.Is(err, fs.ErrNotExist) && !g.gone() {
		return notSupported("cgroup.freeze", "Linux 5.2", err)
	}
	return explainControl(g.path, err)
}

// event reads a field of cgroup.events; 0 if this kernel does not have it. What
// could not be read is no 0: the group was removed, or descriptors are short.
func (g *Group) event(key string) (uint64, error) {
	b, err := os.ReadFile(filepath.Join(g.path, "cgroup.events"))
	n, _ := cgroupfs.Field(b, key)
	return n, explainControl(g.path, err)
}

// empty tells whether no live process is in the group or below; in one that was
// removed there is none.
func (g *Group) empty() (bool, error) {
	populated, err := g.event("populated")
	if errors.Is(err, ErrRemoved) {
		return true, nil
	}
	return err == nil && populated == 0, err
}

// waitEmpty returns when the group is empty. Where it cannot look, for want of
// descriptors or memory, it goes on: that passes.
func (g *Group) waitEmpty(ctx context.Context) error {
	var blind error
	err := poll(ctx, func() (bool, error) {
		empty, err := g.empty()
		if blind = nil; sys.Short(err) {
			blind, err = err, nil
		}
		return empty, err
	})
	switch {
	case err == nil || err != ctx.Err():
		return err
	case blind != nil:
		return fmt.Errorf("wait until %s is empty: %w: %w", g.path, blind, err)
	}
	pids, _ := g.procs()
	return &Error{Path: g.path, Cause: ErrPopulated, Err: fmt.Errorf("processes %v: %w", pids, err)}
}

// hasNoFiles tells whether a directory has been removed, by the descriptor alone.
// Where its path leads by now says less: it may just be out of sight.
func hasNoFiles(dir int) bool {
	err := unix.Faccessat(dir, "cgroup.procs", unix.F_OK, 0)
	return err == unix.ENOENT || err == unix.ENODEV
}

// gone tells whether the directory of our descriptor has been removed; another
// of the same name is not it.
func (g *Group) gone() bool {
	held, err := g.dir.Stat()
	if err != nil {
		return false
	}
	now, err := os.Stat(g.path)
	return errors.Is(err, fs.ErrNotExist) || err == nil && !os.SameFile(held, now)
}

func (g *Group) procs() ([]int, error) {
	var pids []int
	err := g.walk(func(dir string) error {
		list, err := words(filepath.Join(dir, "cgroup.procs"))
		for _, w := range list {
			if pid, err := strconv.Atoi(w); err == nil {
				pids = append(pids, pid)
			}
		}
		return explainControl(dir, err)
	})
	return pids, err
}

// walk calls visit for the group and every group below it, the lowest first. A
// group that goes away meanwhile is no error.
func (g *Group) walk(visit func(dir string) error) error {
	if g.gone() {
		return nil
	}
	return walk(g.path, visit)
}

func walk(dir string, visit func(dir string) error) error {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.ENODEV) {
		return err
	}
	for _, e := range entries {
		if e.IsDir() {
			if err := walk(filepath.Join(dir, e.Name()), visit); err != nil {
				return err
			}
		}
	}
	if err := visit(dir); err != nil && !errors.Is(err, ErrRemoved) {
		return err
	}
	return nil
}

// writeAt writes a file of a directory that must exist. Errors are bare errno
// values.
func writeAt(dir int, name, value string) error {
	fd, err := unix.Openat(dir, name, unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err == nil {
		defer unix.Close(fd)
		_, err = unix.Write(fd, []byte(value))
	}
	if err == unix.EINTR {
		return writeAt(dir, name, value)
	}
	return err
}

// poll asks until the answer is yes, an error, or the context's end.
func poll(ctx context.Context, ask func() (bool, error)) error {
	pause := 100 * time.Microsecond
	for {
		if yes, err := ask(); yes || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
		pause = min(2*pause, 20*time.Millisecond)
	}
}
