// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package sys

import (
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// Memfd makes a memory file that can be sealed. MFD_NOEXEC_SEAL (Linux 6.3) is
// demanded by some systems (sysctl vm.memfd_noexec) and unknown to others.
func Memfd(name string) (int, error) {
	const flags = unix.MFD_CLOEXEC | unix.MFD_ALLOW_SEALING
	fd, err := unix.MemfdCreate(name, flags|unix.MFD_NOEXEC_SEAL)
	if err == unix.EINVAL {
		fd, err = unix.MemfdCreate(name, flags)
	}
	return fd, os.NewSyscallError("memfd_create", err)
}

// Seals make a memory file's content what it was when it was sealed.
const Seals = unix.F_SEAL_SEAL | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE

// SealedMemfd makes a memory file of the parts, one after the other, which nobody
// can change any more: whoever gets it may map it.
func SealedMemfd(name string, parts ...[]byte) (int, error) {
	if err := checkFileSize(parts); err != nil {
		return -1, err
	}
	fd, err := Memfd(name)
	if err != nil {
		return -1, err
	}
	var undo Cleanup
	defer undo.Run()
	undo.Add(func() { unix.Close(fd) })
	off := int64(0)
	for _, part := range parts {
		if err := pwriteAll(fd, part, off); err != nil {
			return -1, err
		}
		off += int64(len(part))
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, Seals); err != nil {
		return -1, os.NewSyscallError("fcntl F_ADD_SEALS", err)
	}
	undo.Disarm()
	return fd, nil
}

// checkFileSize refuses what would raise SIGXFSZ, which ends a Go program.
func checkFileSize(parts [][]byte) error {
	var lim unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &lim); err != nil {
		return os.NewSyscallError("getrlimit", err)
	}
	size := uint64(0)
	for _, part := range parts {
		size += uint64(len(part))
	}
	if size > lim.Cur {
		return fmt.Errorf("it needs a memory file of %d bytes, and RLIMIT_FSIZE is %d: %w", size, lim.Cur, unix.EFBIG)
	}
	return nil
}

func pwriteAll(fd int, b []byte, off int64) error {
	for len(b) > 0 {
		n, err := unix.Pwrite(fd, b[:min(len(b), 1<<30)], off)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return os.NewSyscallError("pwrite", err)
		}
		b, off = b[n:], off+int64(n)
	}
	return nil
}

// ReadAt fills b with what a file holds from off on; io.ErrUnexpectedEOF says that
// it holds less.
func ReadAt(fd int, b []byte, off int64) error {
	for len(b) > 0 {
		n, err := unix.Pread(fd, b, off)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return os.NewSyscallError("pread", err)
		case n == 0:
			return io.ErrUnexpectedEOF
		}
		b, off = b[n:], off+int64(n)
	}
	return nil
}
