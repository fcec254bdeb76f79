// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package cgroup

import (
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/seed-cb702d51/tfork-go/internal/cgroupfs"
	"github.com/seed-cb702d51/tfork-go/internal/sys"
)

func open(path string) (*Group, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	m, err := cgroupfs.FindMount()
	if err != nil {
		return nil, err
	}
	dir, err := openDir(unix.AT_FDCWD, path)
	if err != nil {
		return nil, &os.PathError{Op: "open cgroup", Path: path, Err: err}
	}
	g := &Group{path: path, mount: m.Point, top: path, dir: dir}
	if err := g.with(isCgroup); err != nil {
		dir.Close()
		return nil, err
	}
	return g, nil
}

// isCgroup is Check without the state of the moment: a frozen or foreign group
// can be opened and looked at.
func isCgroup(fd int) error {
	err := cgroupfs.Check(fd)
	if errors.Is(err, ErrNotCgroup) || errors.Is(err, ErrRemoved) {
		return err
	}
	return nil
}

// openDir opens a directory for reading; errors are bare errno values.
func openDir(at int, path string) (*os.File, error) {
	fd, err := unix.Openat(at, path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	switch {
	case err == unix.EINTR:
		return openDir(at, path)
	case err != nil:
		return nil, err
	}
	return os.NewFile(uintptr(fd), path), nil
}

func (g *Group) create(name string, limits Limits) (*Group, error) {
	if g.gone() {
		return nil, &Error{Path: g.path, Cause: ErrRemoved}
	}
	if err := g.enable(limits.controllers()); err != nil {
		return nil, err
	}
	var undo sys.Cleanup
	defer undo.Run()
	path, err := g.mkdir(name)
	if err != nil {
		return nil, err
	}
	undo.Add(func() { unix.Rmdir(path) })
	dir, err := openDir(unix.AT_FDCWD, path)
	if err != nil {
		return nil, &os.PathError{Op: "open cgroup", Path: path, Err: err}
	}
	undo.Add(func() { dir.Close() })
	child := &Group{path: path, mount: g.mount, top: g.top, dir: dir}
	if err := child.apply(limits); err != nil {
		return nil, err
	}
	undo.Disarm()
	return child, nil
}

// mkdir makes the directory through the parent's descriptor: should the parent
// have been removed and made again by somebody, this is not it.
func (g *Group) mkdir(name string) (path string, err error) {
	err = g.with(func(fd int) error {
		for range 1000 {
			unique := strings.Replace(name, "*", strconv.FormatUint(uint64(rand.Uint32()), 36), 1)
			path = filepath.Join(g.path, unique)
			err := unix.Mkdirat(fd, unique, 0o755)
			if err != unix.EINTR && (err != unix.EEXIST || unique == name) {
				return g.explainMkdir(path, err)
			}
		}
		return g.explainMkdir(path, unix.EEXIST)
	})
	return path, err
}

func (g *Group) explainMkdir(path string, err error) error {
	sysErr := os.NewSyscallError("mkdirat", err)
	switch err {
	case nil:
		return nil
	case unix.ENOENT, unix.ENODEV:
		return &Error{Path: g.path, Cause: ErrRemoved, Err: sysErr}
	case unix.EACCES, unix.EPERM, unix.EROFS:
		return &Error{Path: g.path, Cause: ErrNoDelegation, Err: sysErr}
	case unix.EAGAIN:
		err = errors.New("cgroup.max.descendants or cgroup.max.depth of the parent is reached")
	}
	return &os.PathError{Op: "create cgroup", Path: path, Err: err}
}

// enable turns controllers on from the opened group down to g, where they are
// not on yet. Nothing above is touched: it belongs to somebody else.
func (g *Group) enable(need []string) error {
	if len(need) == 0 {
		return nil
	}
	for level := g.top; ; {
		if err := enableAt(level, need); err != nil {
			return err
		}
		if level == g.path {
			return nil
		}
		rest, ok := strings.CutPrefix(g.path, level+"/")
		if !ok {
			return &os.PathError{Op: "enable controllers", Path: g.path, Err: errors.New("not below " + g.top)}
		}
		next, _, _ := strings.Cut(rest, "/")
		level = filepath.Join(level, next)
	}
}

func enableAt(dir string, need []string) error {
	on, err := words(filepath.Join(dir, "cgroup.subtree_control"))
	if err != nil {
		return explainControl(dir, err)
	}
	missing := slices.DeleteFunc(slices.Clone(need), func(c string) bool { return slices.Contains(on, c) })
	if len(missing) == 0 {
		return nil
	}
	have, err := words(filepath.Join(dir, "cgroup.controllers"))
	if err != nil {
		return explainControl(dir, err)
	}
	for _, c := range missing {
		if !slices.Contains(have, c) {
			return noController(dir, c)
		}
	}
	return explainControl(dir, writeFile(filepath.Join(dir, "cgroup.subtree_control"), "+"+strings.Join(missing, " +")))
}

// explainControl maps the errors of cgroup.subtree_control to their causes.
func explainControl(dir string, err error) error {
	cause := error(nil)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.EBUSY):
		cause = ErrHasProcesses
	case errors.Is(err, fs.ErrPermission), errors.Is(err, unix.EROFS):
		cause = ErrNoDelegation
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ENODEV):
		cause = ErrRemoved
	case errors.Is(err, unix.EOPNOTSUPP):
		cause = ErrThreaded
	default:
		return err
	}
	return &Error{Path: dir, Cause: cause, Err: err}
}

// noController says where the controller is instead.
func noController(dir, name string) error {
	why := "turn it on in cgroup.subtree_control above, or open a group further up (systemd: Delegate=yes)"
	old := name
	if name == "io" {
		old = "blkio"
	}
	if text, err := os.ReadFile("/proc/self/cgroup"); err == nil && slices.Contains(v1Controllers(string(text)), old) {
		why = "on this host it belongs to a cgroup v1 hierarchy: boot with systemd.unified_cgroup_hierarchy=1 (cgroup_no_v1=all)"
	}
	return &Error{Path: dir, Cause: ErrNoController, Err: errors.New(name + ": " + why)}
}

func (g *Group) set(limits Limits) error {
	have, err := words(filepath.Join(g.path, "cgroup.controllers"))
	if err != nil {
		return explainControl(g.path, err)
	}
	for _, c := range limits.controllers() {
		if !slices.Contains(have, c) {
			return noController(g.path, c)
		}
	}
	return g.apply(limits)
}

// words reads a list such as cgroup.controllers.
func words(path string) ([]string, error) {
	b, err := os.ReadFile(path)
	return strings.Fields(string(b)), err
}

// write writes a file of the group.
func (g *Group) write(name, value string) error {
	return writeFile(filepath.Join(g.path, name), value)
}

// writeFile writes a file that must exist. os.WriteFile would pass O_CREATE,
// to which cgroups answer EACCES for a file that this kernel does not have.
func writeFile(path, value string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(value)
	return errors.Join(err, f.Close())
}
