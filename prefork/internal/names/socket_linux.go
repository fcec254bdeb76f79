// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package names

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-cb702d51/tfork-go/prefork/internal/message"
)

const (
	// backlog is how many may wait for a process that hangs.
	backlog = 16
	// serveTimeout is how long one question may take to arrive.
	serveTimeout = 5 * time.Second
	// serveAtOnce limits the questions that are answered at the same time.
	serveAtOnce = 8
)

// Socket is a listening socket in a [Dir].
type Socket struct {
	// File is the socket.
	File *os.File
	// Pin keeps the number in ID from being given to another file, although the
	// name may be gone and the socket closed. It answers nobody.
	Pin *os.File
	// ID finds its name again.
	ID ID
}

// Close gives up the socket and its pin; the name stays.
func (s *Socket) Close() {
	s.File.Close()
	s.Pin.Close()
}

// bind makes the socket under a name that nobody looks at, and moves it when
// it listens: a name that refuses connections is a stale one.
func (d *dir) bind(name, spare string, right Place) (*Socket, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	f := os.NewFile(uintptr(fd), name)
	temp := fmt.Sprintf(".%d-%d", os.Getpid(), d.last.Add(1))
	s, err := d.bindAs(f, fd, temp, func(id ID) error { return d.settle(temp, id, name, spare, right) })
	if err != nil {
		f.Close()
		os.Remove(filepath.Join(d.path, temp))
		return nil, fmt.Errorf("runtime directory: %s: %w", name, err)
	}
	return s, nil
}

// bindAs does the steps of bind in the order that makes a name trustworthy:
// private, then listening, then visible.
func (d *dir) bindAs(f *os.File, fd int, temp string, settle func(ID) error) (*Socket, error) {
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: d.reach(temp)}); err != nil {
		return nil, os.NewSyscallError("bind", err)
	}
	path := filepath.Join(d.path, temp)
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, err
	}
	if err := unix.Listen(fd, backlog); err != nil {
		return nil, os.NewSyscallError("listen", err)
	}
	id, err := identify(path)
	if err != nil {
		return nil, err
	}
	pin, err := os.OpenFile(path, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	err = d.change(func() error { return settle(id) })
	if err != nil {
		pin.Close()
		return nil, err
	}
	return &Socket{File: f, Pin: pin, ID: id}, nil
}

// Serve answers questions on the process's own socket until stop is called.
// From now on the kernel tells this process's pid to who connects. Only the
// same user and root are answered. The socket is duplicated: f stays the
// caller's.
func Serve(f *os.File, h Handler) (stop func(), err error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return nil, err
	}
	var listenErr error
	if err := raw.Control(func(fd uintptr) { listenErr = unix.Listen(int(fd), backlog) }); err != nil {
		return nil, err
	}
	if listenErr != nil {
		return nil, os.NewSyscallError("listen", listenErr)
	}
	ln, err := net.FileListener(f)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	all.Go(func() { acceptQuestions(ctx, ln, h, &all) })
	return func() {
		cancel()
		ln.Close()
		all.Wait()
	}, nil
}

// acceptQuestions takes questions until the listener is closed. It never ends
// for want of descriptors: that is when somebody asks what is wrong.
func acceptQuestions(ctx context.Context, ln net.Listener, h Handler, all *sync.WaitGroup) {
	slots := make(chan struct{}, serveAtOnce)
	for {
		c, err := ln.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // out of descriptors: not now
			select {
			case <-ctx.Done():
				return
			case <-time.After(100 * time.Millisecond):
			}
			continue
		}
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			c.Close()
			return
		}
		all.Go(func() {
			defer func() { <-slots }()
			defer c.Close()
			defer context.AfterFunc(ctx, func() { c.SetDeadline(time.Now()) })()
			answer(c.(*net.UnixConn), h)
		})
	}
}

// answer takes one question.
func answer(c *net.UnixConn, h Handler) {
	c.SetDeadline(time.Now().Add(serveTimeout))
	reply := message.Text(message.Refuse, "only the user that runs the server, and root, may ask")
	if cred, err := otherEnd(c); err == nil && (cred.Uid == 0 || int(cred.Uid) == os.Geteuid()) {
		q, err := message.Read(c)
		if err != nil {
			return
		}
		reply = h(q)
	}
	message.Write(c, reply)
}

// otherEnd asks the kernel who is at the other end.
func otherEnd(c *net.UnixConn) (*unix.Ucred, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, err
	}
	var cred *unix.Ucred
	var credErr error
	if err := raw.Control(func(fd uintptr) {
		cred, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil {
		return nil, err
	}
	return cred, os.NewSyscallError("getsockopt", credErr)
}

// dial connects to a name. A refusal means that it is stale.
func (d *dir) dial(name string, timeout time.Duration) (*net.UnixConn, error) {
	c, err := net.DialTimeout("unix", d.reach(name), timeout)
	if err != nil {
		return nil, err
	}
	return c.(*net.UnixConn), nil
}

func ask(path, name string, q message.Message, timeout time.Duration) (message.Message, int, error) {
	d, err := attachDir(path)
	if err != nil {
		return message.Message{}, 0, err
	}
	defer d.close()
	return d.ask(name, q, timeout)
}

func (d *dir) ask(name string, q message.Message, timeout time.Duration) (a message.Message, pid int, err error) {
	c, err := d.dial(name, timeout)
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ECONNREFUSED) {
		return a, 0, fmt.Errorf("%s: %w", name, ErrNoName)
	}
	if err != nil {
		return a, 0, fmt.Errorf("%s: %w", name, ErrNoAnswer)
	}
	defer c.Close()
	cred, err := otherEnd(c)
	if err != nil {
		return a, 0, err
	}
	w := witness{conn: c, pid: int(cred.Pid)}
	if err := w.open(); err != nil {
		return a, w.pid, err
	}
	c.SetDeadline(time.Now().Add(timeout))
	if err = message.Write(c, q); err == nil {
		a, err = message.Read(&w)
	}
	pid = w.pid
	switch {
	case err == nil:
		return a, pid, nil
	case errors.Is(err, io.EOF) || errors.Is(err, unix.ECONNRESET) || errors.Is(err, unix.EPIPE):
		return a, pid, fmt.Errorf("%s: %w", name, ErrNoName) // it ended meanwhile
	case errors.Is(err, os.ErrDeadlineExceeded):
		return a, pid, fmt.Errorf("%s: %w", name, ErrNoAnswer)
	}
	return a, pid, err
}

// witness reads an answer and asks the kernel who wrote it. Who was there when
// the connection was made is another question: it may have been made before the
// process had begun, when the socket was that of the one which started it.
type witness struct {
	conn *net.UnixConn
	pid  int
}

// open makes the kernel tell. It belongs before the question.
func (w *witness) open() error {
	raw, err := w.conn.SyscallConn()
	if err != nil {
		return err
	}
	var setErr error
	if err := raw.Control(func(fd uintptr) {
		setErr = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_PASSCRED, 1)
	}); err != nil {
		return err
	}
	return os.NewSyscallError("setsockopt", setErr)
}

// Read implements io.Reader.
func (w *witness) Read(b []byte) (int, error) {
	oob := make([]byte, unix.CmsgSpace(unix.SizeofUcred))
	n, oobn, _, _, err := w.conn.ReadMsgUnix(b, oob)
	messages, _ := unix.ParseSocketControlMessage(oob[:oobn]) // of the kernel's own making
	for _, m := range messages {
		// 0 is a process of another pid namespace, which has no number here.
		if cred, err := unix.ParseUnixCredentials(&m); err == nil && cred.Pid != 0 {
			w.pid = int(cred.Pid)
		}
	}
	return n, err
}

// list asks everybody at once: one that hangs costs its own time, not that of
// all others.
func list(path string, timeout time.Duration) ([]Entry, error) {
	d, err := attachDir(path)
	if err != nil {
		return nil, err
	}
	defer d.close()
	all := d.names()
	entries := make([]*Entry, len(all))
	var asked sync.WaitGroup
	for i, name := range all {
		asked.Go(func() {
			a, pid, err := d.ask(name, message.Message{Kind: message.Status}, timeout)
			switch {
			case err == nil && a.Kind == message.Row:
				entries[i] = &Entry{Name: name, Pid: pid, Row: a.Body}
			case !errors.Is(err, ErrNoName):
				entries[i] = &Entry{Name: name, Pid: pid}
			}
		})
	}
	asked.Wait()
	var found []Entry
	for _, e := range slices.DeleteFunc(entries, func(e *Entry) bool { return e == nil }) {
		found = append(found, *e)
	}
	return found, nil
}
