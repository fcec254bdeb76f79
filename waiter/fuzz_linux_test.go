// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package waiter

import (
	"encoding/binary"
	"os"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/seed-cb702d51/tfork-go/internal/sys"
	"github.com/seed-cb702d51/tfork-go/internal/testutil"
	"github.com/seed-cb702d51/tfork-go/internal/wire"
)

// script is a caller that says whatever is written in it, to a waiter whose
// workers exist on paper only.
type script struct {
	t    testing.TB
	text []byte
	null int

	nextPid  int
	alive    []int
	started  map[uint64]int // answers, by request
	refused  map[uint64]int
	exited   map[uint64]int
	exitCode int
}

// ended is what the fake exit unwinds the waiter with.
type ended struct{}

// receive takes the next message off the script: the number of descriptors,
// whether the stamp is right, the length, and the bytes.
func (s *script) receive(buf, oob []byte) (n, oobn, flags int, err error) {
	if len(s.text) < 4 {
		return 0, 0, 0, nil
	}
	head, rest := s.text[:4], s.text[4:]
	n = min(int(binary.LittleEndian.Uint16(head[2:])), len(rest), len(buf))
	copy(buf, rest[:n])
	s.text = rest[n:]
	var control []byte
	var fds []int
	for range head[0] % 5 {
		fd, err := unix.FcntlInt(uintptr(s.null), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			s.t.Fatal(err)
		}
		fds = append(fds, fd)
	}
	if len(fds) > 0 {
		control = unix.UnixRights(fds...)
	}
	stamp := unix.Ucred{Pid: int32(unix.Getppid()), Uid: uint32(unix.Getuid()), Gid: uint32(unix.Getgid())}
	if head[1]&1 != 0 {
		stamp.Uid++
	}
	if head[1]&2 != 0 {
		stamp.Pid++
	}
	if head[1]&4 == 0 {
		control = append(control, unix.UnixCredentials(&stamp)...)
	}
	if head[1]&8 != 0 {
		flags |= unix.MSG_CTRUNC
	}
	return n, copy(oob, control), flags, nil
}

// send checks that the waiter says only what makes sense.
func (s *script) send(msg []byte, _ []int) error {
	h, payload, err := wire.Parse(msg)
	if err != nil {
		s.t.Fatalf("the waiter says %x: %v", msg, err)
	}
	switch h.Kind {
	case wire.Started:
		_, err = wire.ParseStarted(payload)
		s.started[h.ID]++
	case wire.Refused:
		_, err = wire.ParseRefused(payload)
		s.refused[h.ID]++
	case wire.Exited:
		_, err = wire.ParseExited(payload)
		s.exited[h.ID]++
		if s.exited[h.ID] > s.started[h.ID] {
			s.t.Errorf("%d has ended more often than it was started", h.ID)
		}
	case wire.Signaled:
		_, err = wire.ParseSignaled(payload)
	default:
		s.t.Errorf("a waiter says %v", h.Kind)
	}
	if err != nil {
		s.t.Errorf("%v: %v", h.Kind, err)
	}
	return nil
}

func (s *script) spawn(path string, _ []string, attr *syscall.ProcAttr) (int, error) {
	if path == "" {
		return 0, syscall.ENOENT
	}
	for _, f := range attr.Files {
		if _, err := unix.FcntlInt(f, unix.F_GETFD, 0); f != Closed && err != nil {
			s.t.Errorf("a worker gets descriptor %d: %v", f, err)
		}
	}
	s.nextPid++
	s.alive = append(s.alive, s.nextPid)
	return s.nextPid, nil
}

func (s *script) wait(_, _, options int) (sys.Waited, error) {
	if len(s.alive) == 0 {
		return sys.Waited{}, os.NewSyscallError("waitid", syscall.ECHILD)
	}
	w := sys.Waited{Pid: s.alive[0]}
	if options&unix.WNOWAIT == 0 {
		s.alive = s.alive[1:]
	}
	return w, nil
}

func (s *script) kill(pid int, _ syscall.Signal) error {
	for _, p := range s.alive {
		if p == pid {
			return nil
		}
	}
	s.t.Errorf("a signal to %d, which is reaped", pid)
	return nil
}

// run plays the script against a waiter, in a thread of its own that has a
// working directory of its own.
func (s *script) run() {
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			if r := recover(); r != nil {
				if _, ok := r.(ended); !ok {
					panic(r)
				}
			}
		}()
		if !isolate() {
			s.t.Skip("threads cannot have a working directory of their own here")
		}
		srv := newServer(env{
			receive: s.receive,
			observe: func(_ *facts, buf []byte) []byte { return buf },
			spawn:   s.spawn,
			pidfd:   func(int) (int, error) { return unix.FcntlInt(uintptr(s.null), unix.F_DUPFD_CLOEXEC, 0) },
			wait:    s.wait,
			kill:    s.kill,
			exit:    func(code int) { s.exitCode = code; panic(ended{}) },
		}, &outbox{send: s.send, room: func() {}})
		srv.own, srv.sound = true, true
		t := srv.newThread()
		srv.threads = maxThreads // one plays all
		t.run()
	}()
	<-done
}

// FuzzServe holds for a caller that says anything: the waiter ends itself or
// answers with what makes sense, and keeps no descriptor.
func FuzzServe(f *testing.F) {
	line := func(fds, stamp byte, msg []byte) []byte {
		return append([]byte{fds, stamp, byte(len(msg)), byte(len(msg) >> 8)}, msg...)
	}
	ok := wire.Request{Path: "/x", Args: []string{"x"}, Dir: "/", Slots: []bool{true, false, true}}
	bad := wire.Request{Slots: []bool{true}}
	f.Add(line(2, 0, spawnMessage(&ok, 1, 2)))
	f.Add(append(line(2, 0, spawnMessage(&ok, 1, 2)), line(1, 0, spawnMessage(&bad, 2, 1))...))
	f.Add(append(line(2, 0, spawnMessage(&ok, 1, 2)), line(0, 0, wire.SignalInfo{Worker: 1, Signal: 9}.Append(nil, 2))...))
	f.Add(append(line(2, 0, spawnMessage(&ok, 1, 2)), line(2, 0, spawnMessage(&ok, 1, 2))...))
	f.Add(line(2, 1, spawnMessage(&ok, 1, 2)))
	f.Add(line(2, 2, spawnMessage(&ok, 1, 2)))
	f.Add(line(1, 8, spawnMessage(&ok, 1, 2)))
	f.Add(line(1, 0, wire.Envelope{Carrier: wire.BodyInMemfd, Body: 10}.Append(nil, 3)))
	f.Add(line(1, 0, wire.Envelope{Carrier: wire.FilesInSocket, Files: 10}.Append(nil, 4)))
	f.Add(line(0, 0, []byte("noise")))
	null, err := unix.Open(os.DevNull, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { unix.Close(null) })
	f.Fuzz(func(t *testing.T, text []byte) {
		before := len(testutil.FDs())
		s := &script{
			t: t, text: text, null: null, nextPid: 100, exitCode: -1,
			started: map[uint64]int{}, refused: map[uint64]int{}, exited: map[uint64]int{},
		}
		s.run()
		if s.exitCode != exitDone && s.exitCode != exitProtocol {
			t.Errorf("the waiter ends with %d", s.exitCode)
		}
		for id, n := range s.started {
			if s.exitCode == exitDone && s.exited[id] != n {
				t.Errorf("%d was started %d times, and has ended %d times", id, n, s.exited[id])
			}
		}
		if s.exitCode == exitDone {
			if after := len(testutil.FDs()); after > before {
				t.Errorf("%d descriptors, were %d", after, before)
			}
		}
	})
}
