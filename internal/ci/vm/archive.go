// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package vm

import (
	"bufio"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// The file types of a mode in a cpio archive, as in inode(7).
const (
	typeDir  = 0o040000
	typeFile = 0o100000
	typeLink = 0o120000
	typeChar = 0o020000
)

// Archive writes an initramfs: a cpio archive of the "newc" form, not
// compressed, because unpacking is what an emulated processor is slowest at.
// The kernel's Documentation/driver-api/early-userspace/buffer-format.rst
// describes it. Everything belongs to root.
//
// Errors are kept: the first one is returned by Close.
type Archive struct {
	w     *bufio.Writer
	inode int
	size  int64
	dirs  map[string]bool
	has   map[string]bool // programs and libraries
	err   error
}

// NewArchive starts an archive on w, which it borrows until Close.
func NewArchive(w io.Writer) *Archive {
	return &Archive{w: bufio.NewWriterSize(w, 1<<20), dirs: map[string]bool{".": true}, has: map[string]bool{}}
}

// Dir adds a directory, and those above it.
func (a *Archive) Dir(path string, mode fs.FileMode) {
	path = relative(path)
	if a.dirs[path] {
		return
	}
	a.dirs[path] = true
	a.Dir(filepath.Dir(path), 0o755)
	a.entry(path, typeDir|int(mode.Perm()), device{}, nil)
}

// File adds a file with these contents.
func (a *Archive) File(path string, mode fs.FileMode, data []byte) {
	a.Dir(filepath.Dir(path), 0o755)
	a.entry(relative(path), typeFile|int(mode.Perm()), device{}, data)
}

// Link adds a symbolic link.
func (a *Archive) Link(path, target string) {
	a.Dir(filepath.Dir(path), 0o755)
	a.entry(relative(path), typeLink|0o777, device{}, []byte(target))
}

// Char adds a character device.
func (a *Archive) Char(path string, mode fs.FileMode, major, minor int) {
	a.Dir(filepath.Dir(path), 0o755)
	a.entry(relative(path), typeChar|int(mode.Perm()), device{major, minor}, nil)
}

// Copy adds a file of the host.
func (a *Archive) Copy(path, from string) {
	b, err := os.ReadFile(from)
	if err != nil {
		a.fail(err)
		return
	}
	fi, err := os.Stat(from)
	if err != nil {
		a.fail(err)
		return
	}
	a.File(path, fi.Mode(), b)
}

// Tree adds a folder of the host with all that is in it, under path.
func (a *Archive) Tree(path, from string) {
	err := filepath.WalkDir(from, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, name)
		if err != nil {
			return err
		}
		switch to := filepath.Join(path, rel); {
		case d.IsDir():
			a.Dir(to, 0o755)
		case d.Type() == fs.ModeSymlink:
			target, err := os.Readlink(name)
			if err != nil {
				return err
			}
			a.Link(to, target)
		default:
			a.Copy(to, name)
		}
		return nil
	})
	if err != nil {
		a.fail(err)
	}
}

// Close writes the end of the archive. It does not close the writer below.
func (a *Archive) Close() error {
	a.entry("TRAILER!!!", 0, device{}, nil)
	if err := a.w.Flush(); err != nil {
		a.fail(err)
	}
	return a.err
}

type device struct{ major, minor int }

// entry writes a header, a name and data, the latter two padded to 4 bytes.
func (a *Archive) entry(name string, mode int, dev device, data []byte) {
	a.inode++
	header := "070701"
	for _, field := range []int{
		a.inode, mode, 0 /* uid */, 0 /* gid */, 1 /* links */, 0 /* mtime */, len(data),
		0, 0 /* device of the file system */, dev.major, dev.minor, len(name) + 1, 0, /* checksum */
	} {
		header += fmt.Sprintf("%08X", field)
	}
	a.write([]byte(header + name + "\x00"))
	a.pad()
	a.write(data)
	a.pad()
}

func (a *Archive) pad() { a.write(make([]byte, -a.size&3)) }

func (a *Archive) write(b []byte) {
	n, err := a.w.Write(b)
	a.size += int64(n)
	if err != nil {
		a.fail(err)
	}
}

func (a *Archive) fail(err error) {
	if a.err == nil {
		a.err = err
	}
}

func relative(path string) string {
	return strings.TrimPrefix(filepath.Clean(path), "/")
}
