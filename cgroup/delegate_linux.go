// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package cgroup

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-cb702d51/tfork-go/internal/cgroupfs"
	"github.com/seed-cb702d51/tfork-go/internal/feature"
)

// leafName is the group that EnterLeaf makes. Delegated looks above it.
const leafName = "tfork-leaf"

func delegated() (*Group, error) {
	m, err := cgroupfs.FindMount()
	if err != nil {
		return nil, err
	}
	if m.ReadOnly {
		return nil, notDelegated(m.Point, "it is mounted read-only: a container needs it read-write, and a cgroup namespace of its own")
	}
	text, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return nil, err
	}
	self, ok := cgroupfs.ParseSelf(text)
	if !ok {
		return nil, notSupported("cgroup v2", "Linux 4.5", errors.New("this process is in no v2 cgroup"))
	}
	own, ok := m.Dir(self)
	if !ok {
		return nil, notDelegated(self, "the cgroup of this process cannot be seen below "+m.Point)
	}
	dir, err := delegatedAbove(m.Point, own)
	if err != nil {
		return nil, err
	}
	return open(dir)
}

// delegatedAbove finds the delegated directory that own lies in.
func delegatedAbove(mount, own string) (string, error) {
	dir := own
	if filepath.Base(dir) == leafName {
		dir = filepath.Dir(dir)
	}
	if _, err := os.Stat(filepath.Join(mount, "init.scope")); err == nil {
		dir = unitOf(mount, dir)
		if dir == "" {
			return "", notDelegated(own, "systemd has not handed it over: set Delegate=yes in the unit, or start with systemd-run --scope -p Delegate=yes (add --user for an ordinary user)")
		}
	}
	for _, file := range []string{".", "cgroup.procs", "cgroup.subtree_control"} {
		if err := unix.Faccessat(unix.AT_FDCWD, filepath.Join(dir, file), unix.W_OK, unix.AT_EACCESS); err != nil {
			return "", notDelegated(dir, "this user may not write "+file+" there: have an administrator chown the directory, its cgroup.procs and its cgroup.subtree_control")
		}
	}
	return dir, nil
}

// unitOf finds the delegated systemd unit around a directory, or "". systemd
// marks it; the walk ends at the unit that the process is in, since one further
// up is delegated to the manager that runs this unit, not to us.
func unitOf(mount, dir string) string {
	for ; dir != mount && strings.HasPrefix(dir, mount); dir = filepath.Dir(dir) {
		if marked(dir) {
			return dir
		}
		if isUnit(filepath.Base(dir)) {
			break
		}
	}
	return ""
}

// marked tells whether systemd has handed a directory over. It says so with an
// attribute: trusted.delegate is for privileged readers only, user.delegate
// came later (systemd 251, Linux 5.7). Without them two kinds of units are
// known: a system unit with User= that belongs to that user, since systemd
// chowns only delegated ones; and a unit of the user's own systemd, which
// marks none. The latter may be taken without Delegate=yes, with the risk
// that systemd turns controllers off there: it is the user's own to judge.
func marked(dir string) bool {
	buf := make([]byte, 8)
	for _, name := range []string{"user.delegate", "trusted.delegate"} {
		if n, err := unix.Getxattr(dir, name, buf); err == nil && string(buf[:n]) == "1" {
			return true
		}
	}
	if ext := filepath.Ext(dir); ext != ".service" && ext != ".scope" {
		return false
	}
	uid := os.Geteuid()
	if strings.Contains(dir, "/user@"+strconv.Itoa(uid)+".service/") {
		return true
	}
	var st unix.Stat_t
	return uid != 0 && unix.Stat(dir, &st) == nil && int(st.Uid) == uid
}

// isUnit tells whether a directory is that of a systemd unit.
func isUnit(name string) bool {
	switch filepath.Ext(name) {
	case ".service", ".scope", ".slice", ".socket", ".mount", ".swap":
		return true
	}
	return false
}

func notDelegated(dir, why string) error {
	return &Error{Path: dir, Cause: ErrNoDelegation, Err: errors.New(why)}
}

func notSupported(name, since string, reason error) error {
	return &feature.Error{Name: name, Since: since, Reason: reason}
}

// leaveTime bounds EnterLeaf against processes that fork faster than it moves.
const leaveTime = 10 * time.Second

func (g *Group) enterLeaf() error {
	if _, err := os.Stat(filepath.Join(g.path, "cgroup.type")); os.IsNotExist(err) && !g.gone() {
		return nil // the root of the hierarchy
	}
	if _, err := g.mkdir(leafName); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	leaf, err := openDir(unix.AT_FDCWD, filepath.Join(g.path, leafName))
	if err != nil {
		return &os.PathError{Op: "open cgroup", Path: filepath.Join(g.path, leafName), Err: err}
	}
	defer leaf.Close()
	ctx, cancel := context.WithTimeout(context.Background(), leaveTime)
	defer cancel()
	return poll(ctx, func() (bool, error) { return g.moveAll(&Group{path: leaf.Name(), dir: leaf}) })
}

// moveAll moves what is directly in g; done tells whether nothing was left.
func (g *Group) moveAll(to *Group) (done bool, err error) {
	pids, err := words(filepath.Join(g.path, "cgroup.procs"))
	if err != nil {
		return false, explainControl(g.path, err)
	}
	for _, w := range pids {
		pid, err := strconv.Atoi(w)
		if err != nil || pid == 0 {
			return false, &Error{Path: g.path, Cause: ErrHasProcesses, Err: errors.New("one of another pid namespace, which cannot be moved from here")}
		}
		err = to.with(func(fd int) error { return cgroupfs.Move(fd, pid) })
		if err != nil && !errors.Is(err, unix.ESRCH) {
			return false, err
		}
	}
	return len(pids) == 0, nil
}
