// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package cgroup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

func (g *Group) delete(ctx context.Context) error {
	if g.path == g.mount {
		return fmt.Errorf("delete %s: it is the root of the hierarchy", g.path)
	}
	var busy error
	err := poll(ctx, func() (bool, error) {
		busy = g.removeTree()
		if errors.Is(busy, unix.EBUSY) {
			return false, nil
		}
		return busy == nil, busy
	})
	if err == nil || !errors.Is(busy, unix.EBUSY) {
		return err
	}
	pids, _ := g.procs()
	return &Error{Path: g.path, Cause: ErrPopulated, Err: fmt.Errorf("%w (processes %v): %w", busy, pids, err)}
}

// removeTree removes what it can, the lowest first. The kernel answers EBUSY
// for groups with processes, and for a moment after the last one ended. Where
// there is nothing below, which is usual, it needs no descriptor.
func (g *Group) removeTree() error {
	if g.gone() || unix.Rmdir(g.path) == nil {
		return nil
	}
	return g.walk(func(dir string) error {
		err := unix.Rmdir(dir)
		switch {
		case err == nil || err == unix.ENOENT || err == unix.ENODEV:
			return nil
		case errors.Is(err, fs.ErrPermission) || err == unix.EROFS:
			return &Error{Path: dir, Cause: ErrNoDelegation, Err: os.NewSyscallError("rmdir", err)}
		}
		return &os.PathError{Op: "rmdir", Path: dir, Err: err}
	})
}
