// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package cgroupfs

import (
	"errors"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

func check(dir int) error {
	if err := checkType(dir); err != nil {
		return err
	}
	if err := checkWritable(dir); err != nil {
		return err
	}
	is, err := frozen(dir)
	if err != nil {
		return err
	}
	if is {
		return &Error{Path: dirPath(dir), Cause: ErrFrozen}
	}
	return nil
}

// checkType asks which file system the directory is on: that of cgroup v1 is
// another. A file instead of a directory shows when something in it is opened.
func checkType(dir int) error {
	var fs unix.Statfs_t
	err := unix.Fstatfs(dir, &fs)
	if err == nil && int64(fs.Type) != unix.CGROUP2_SUPER_MAGIC {
		err = unix.EBADF
	}
	return fail(dir, "fstatfs", err)
}

// checkWritable asks what opening cgroup.procs for writing would answer, which
// is several times cheaper than to open it. A removed directory still has a
// descriptor, but no files.
func checkWritable(dir int) error {
	err := unix.Faccessat(dir, "cgroup.procs", unix.W_OK, unix.AT_EACCESS)
	return fail(dir, "faccessat cgroup.procs", err)
}

// frozen looks at cgroup.events. For a cgroup without processes that is all:
// the kernel passes an order to freeze down to it at once. One with processes
// is called frozen only when the last of them has stopped, so the order itself
// is looked for, there and above.
func frozen(dir int) (bool, error) {
	events, err := readAt(dir, "cgroup.events")
	if err == unix.ENOENT {
		return false, nil // the root has none, and cannot be frozen
	}
	if err != nil {
		return false, fail(dir, "read cgroup.events", err)
	}
	if n, _ := Field(events, "frozen"); n != 0 {
		return true, nil
	}
	if n, _ := Field(events, "populated"); n == 0 {
		return false, nil
	}
	ordered := func(level int) (bool, error) {
		b, err := readAt(level, "cgroup.freeze")
		n, _ := Number(b)
		return n != 0, err
	}
	return anyUp(dir, ordered)
}

// anyUp asks about the cgroup and each above it until one says yes. A level
// without the file is the root, or already outside of the hierarchy.
func anyUp(dir int, ask func(level int) (bool, error)) (bool, error) {
	level := dir
	for {
		yes, err := ask(level)
		above, openErr := -1, err
		if err == nil && !yes {
			above, openErr = openAt(level, "..", unix.O_PATH|unix.O_DIRECTORY)
		}
		if level != dir {
			unix.Close(level)
		}
		switch {
		case err == unix.ENOENT || err == unix.ENODEV:
			return false, nil
		case openErr != nil:
			return false, fail(dir, "read above", openErr)
		case yes:
			return true, nil
		}
		level = above
	}
}

func move(dir, pid int) error {
	fd, err := openAt(dir, "cgroup.procs", unix.O_WRONLY)
	if err != nil {
		return fail(dir, "open cgroup.procs", err)
	}
	defer unix.Close(fd)
	for {
		_, err = unix.Write(fd, strconv.AppendInt(nil, int64(pid), 10))
		if err == nil {
			return nil
		}
		if err != unix.EINTR {
			return fail(dir, "write cgroup.procs", err)
		}
	}
}

// causes are the errno values that a placement answers with.
var causes = map[error]error{
	unix.EBADF:      ErrNotCgroup,
	unix.ENOTDIR:    ErrNotCgroup,
	unix.ENOENT:     ErrRemoved,
	unix.ENODEV:     ErrRemoved,
	unix.EACCES:     ErrNoDelegation,
	unix.EPERM:      ErrNoDelegation,
	unix.EROFS:      ErrNoDelegation,
	unix.EBUSY:      ErrInnerNode,
	unix.EOPNOTSUPP: ErrThreaded,
	unix.EAGAIN:     ErrFull,
}

// fail makes the error of a call on the cgroup itself, where the errno can
// mean nothing else. No error stays none.
func fail(dir int, call string, err error) error {
	if err == nil {
		return nil
	}
	sys := os.NewSyscallError(call, err)
	if cause := causes[err]; cause != nil {
		return &Error{Path: dirPath(dir), Cause: cause, Err: sys}
	}
	return &os.PathError{Op: "cgroup", Path: dirPath(dir), Err: sys}
}

func explain(dir int, err error) error {
	var errno syscall.Errno
	if err == nil || errors.Is(err, ErrFrozen) || !errors.As(err, &errno) {
		return err
	}
	cause := causes[errno]
	if cause == nil || !guilty(dir, cause) {
		return err
	}
	return &Error{Path: dirPath(dir), Cause: cause, Err: err}
}

// guilty tells whether the cgroup is indeed in the state that the errno of a
// start would mean.
func guilty(dir int, cause error) bool {
	if found := checkType(dir); found != nil {
		return errors.Is(found, cause)
	}
	if found := checkWritable(dir); found != nil {
		return errors.Is(found, cause)
	}
	switch cause {
	case ErrInnerNode:
		enabled, err := readAt(dir, "cgroup.subtree_control")
		return err == nil && len(enabled) > 1
	case ErrThreaded:
		kind, err := readAt(dir, "cgroup.type")
		return err == nil && string(kind) != "domain\n"
	case ErrFull:
		full, err := anyUp(dir, pidsReached)
		return err == nil && full
	case ErrNoDelegation:
		return !ancestorWritable(dir)
	}
	return false
}

// pidsReached compares pids.current with pids.max.
func pidsReached(level int) (bool, error) {
	limit, err := readAt(level, "pids.max")
	if err != nil {
		return false, err
	}
	current, err := readAt(level, "pids.current")
	most, limited := Number(limit)
	now, ok := Number(current)
	return limited && ok && now >= most, err
}

// dirPath names the directory for a person.
func dirPath(dir int) string {
	path, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(dir))
	if err != nil {
		return "(descriptor " + strconv.Itoa(dir) + ")"
	}
	return path
}
