// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package waiter

import (
	"encoding/binary"
	"os"
	"slices"
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

	srv      *server
	other    *thread // of the waiter: serves while the first one waits for workers
	stranger bool    // the last message came from another user
	runOn    bool    // and no worker ends before the next
	ended    bool    // the script is through
	unheard  int     // workers that ran then: nobody is told of their ends
	alive    []int
	spawned  int
	started  map[uint64]int // answers, by request
	refused  map[uint64]int
	exited   map[uint64]int
	exitCode int
}

// Of the four bytes in front of each message of a script the first is how many
// descriptors come with it, the second has these bits, the others are its length.
const (
	otherUser  = 1 << iota // the stamp is that of another user,
	otherPid               // of another process,
	noStamp                // or missing
	cutOff                 // descriptors were left out
	_                      // free, as bits 4 and 5 of an ASCII digit are set
	workersRun             // no worker ends until the next message is through
	withMemfd              // a sealed memfd comes first: length and content follow the message
	withSocket             // the descriptors wait in a socket
)

// ended is what the fake exit unwinds the waiter with.
type ended struct{}

// receive takes the next message off the script.
func (s *script) receive(buf, oob []byte) (n, oobn, flags int, err error) {
	s.stranger, s.runOn = false, false
	if len(s.text) < 4 {
		if !s.ended {
			s.ended, s.unheard = true, len(s.alive)
		}
		return 0, 0, 0, nil
	}
	count, how := s.text[0], s.text[1]
	s.text = s.text[2:]
	n = copy(buf, s.chunk())
	var control []byte
	if fds := s.descriptors(count, how); len(fds) > 0 {
		control = unix.UnixRights(fds...)
	}
	stamp := s.srv.caller
	if s.stranger = how&otherUser != 0; s.stranger {
		stamp.Uid = uint32(unix.Getuid())
	}
	if how&otherPid != 0 {
		stamp.Pid++
	}
	if how&noStamp == 0 {
		control = append(control, unix.UnixCredentials(&stamp)...)
	}
	if how&cutOff != 0 {
		flags |= unix.MSG_CTRUNC
	}
	s.runOn = how&workersRun != 0
	return n, copy(oob, control), flags, nil
}

// chunk takes two bytes off the script, and as many as they say, if there are.
func (s *script) chunk() []byte {
	if len(s.text) < 2 {
		return nil
	}
	n := min(int(binary.LittleEndian.Uint16(s.text)), len(s.text)-2)
	chunk := s.text[2 : 2+n]
	s.text = s.text[2+n:]
	return chunk
}

// descriptors makes those of a message; they are the waiter's from then on.
func (s *script) descriptors(count, how byte) (fds []int) {
	made := func(fd int, err error) {
		if err != nil {
			s.t.Skip(err)
		}
		fds = append(fds, fd)
	}
	if how&withMemfd != 0 {
		made(bodyMemfd(s.chunk()))
	}
	if how&withSocket != 0 {
		made(sideSocket(slices.Repeat([]int{s.null}, int(count))))
		return fds
	}
	for range count % 5 {
		fds = append(fds, dup(s.t, s.null))
	}
	return fds
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
		if s.started[h.ID] > s.exited[h.ID]+1 {
			s.t.Errorf("%d is started again while it runs", h.ID)
		}
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
	// The first is a process that there is: this one. No kernel numbers the others.
	pid := os.Getpid()
	if s.spawned > 0 {
		pid = 1<<22 + s.spawned
	}
	s.spawned++
	s.alive = append(s.alive, pid)
	return pid, nil
}

func (s *script) wait(_, _, options int) (sys.Waited, error) {
	if len(s.alive) == 0 {
		return sys.Waited{}, os.NewSyscallError("waitid", syscall.ECHILD)
	}
	for options&unix.WNOHANG == 0 && s.runOn {
		s.meanwhile()
	}
	w := sys.Waited{Pid: s.alive[0]}
	if options&unix.WNOWAIT == 0 {
		s.alive = s.alive[1:]
	}
	return w, nil
}

// meanwhile is what another thread of the waiter does while workers run.
func (s *script) meanwhile() {
	if m, err := s.other.next(); err != nil {
		s.other.endOfStream()
	} else {
		s.other.handle(m)
	}
}

func (s *script) kill(pid int, _ syscall.Signal) error {
	if !slices.Contains(s.alive, pid) {
		s.t.Errorf("a signal to %d, which is reaped", pid)
	}
	if s.stranger && pid != os.Getpid() {
		s.t.Errorf("user %d signals %d, which is not its own", os.Getuid(), pid)
	}
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
		srv.caller.Uid++ // so that our own user is another one
		t := srv.newThread()
		s.srv, s.other = srv, srv.newThread()
		srv.threads = maxThreads // one plays all
		t.run()
	}()
	<-done
}

// saying is one message of a script.
func saying(count, how byte, msg []byte) []byte {
	return append([]byte{count, how, byte(len(msg)), byte(len(msg) >> 8)}, msg...)
}

// carried is a request whose body is in a memfd, whose descriptors are in a
// socket, or both. It has the length of its body, or lies about it by wrong.
func carried(q *wire.Request, how byte, files, wrong int) []byte {
	body := q.Append(nil)
	e := wire.Envelope{Files: uint32(files), Body: uint32(len(body) + wrong)}
	if how&withSocket != 0 {
		e.Carrier |= wire.FilesInSocket
	}
	if how&withMemfd == 0 {
		return saying(byte(files), how, append(e.Append(nil, 1), body...))
	}
	e.Carrier |= wire.BodyInMemfd
	text := saying(byte(files), how, e.Append(nil, 1))
	return append(append(text, byte(len(body)), byte(len(body)>>8)), body...)
}

// scripts are what FuzzServe begins with.
func scripts() [][]byte {
	ok := wire.Request{Path: "/x", Args: []string{"x"}, Dir: "/", Slots: []bool{true, false, true}}
	mortal := wire.Request{Path: "/x", Args: []string{"x"}, Dir: "/", DeathSignal: 9}
	bad := wire.Request{Slots: []bool{true}}
	full := wire.Request{
		Path: "/x", Flags: wire.HasCredential | wire.HasUIDMap | wire.HasGIDMap | wire.Foreground | wire.UseCgroupFD | wire.WantPidFD,
		Slots: []bool{true}, Groups: []uint32{5}, UIDMap: []wire.IDMap{{Size: 1}}, AmbientCaps: []uint64{1},
	}
	elsewhere := full
	elsewhere.Flags |= wire.HasCwd // which is none
	many := wire.Request{Path: "/x", Dir: "/", Slots: slices.Repeat([]bool{true}, 255)}
	start, next := spawnMessage(&ok, 1, 2), spawnMessage(&ok, 3, 2)
	signal := wire.SignalInfo{Worker: 1, Signal: 9}.Append(nil, 2)
	signalNext := wire.SignalInfo{Worker: 3, Signal: 9}.Append(nil, 4)
	wrongSocket := carried(&many, withSocket, 255, 0)
	wrongSocket[0]--
	return [][]byte{
		saying(2, 0, start),
		slices.Concat(saying(2, 0, start), saying(1, 0, spawnMessage(&bad, 2, 1))),
		slices.Concat(saying(2, 0, start), saying(0, 0, signal)),
		slices.Concat(saying(2, 0, start), saying(2, 0, start)),
		saying(2, otherUser, start),
		saying(2, otherPid, start),
		saying(1, cutOff, start),
		saying(1, 0, wire.Envelope{Carrier: wire.BodyInMemfd, Body: 10}.Append(nil, 3)),
		saying(1, 0, wire.Envelope{Carrier: wire.FilesInSocket, Files: 10}.Append(nil, 4)),
		saying(0, 0, []byte("noise")),
		slices.Concat(saying(3, 0, spawnMessage(&full, 1, 3)), saying(4, 0, spawnMessage(&elsewhere, 2, 4))),
		// Fewer, and more, than announced.
		slices.Concat(saying(1, 0, start), saying(3, 0, next)),
		slices.Concat(saying(0, 0, wire.Envelope{Carrier: wire.FilesInSocket, Files: 1}.Append(nil, 1)), saying(2, 0, next)),
		carried(&ok, withMemfd, 2, 0), carried(&ok, withMemfd, 2, 1),
		carried(&many, withSocket, 255, 0), carried(&many, withSocket|withMemfd, 255, 0),
		carried(&many, withSocket, 254, 0), wrongSocket,
		// While workers run: signals, one to a worker of another user; the same
		// request again; the end of the caller.
		slices.Concat(saying(2, workersRun, start), saying(0, workersRun, signal), saying(0, 0, signal)),
		slices.Concat(saying(2, workersRun, start), saying(0, workersRun|otherUser, signal), saying(2, workersRun, next),
			saying(0, workersRun|otherUser, signalNext), saying(0, 0, signalNext)),
		slices.Concat(saying(2, workersRun, start), saying(2, 0, start)),
		slices.Concat(saying(0, workersRun, spawnMessage(&mortal, 1, 0)), saying(2, workersRun, next)),
	}
}

// FuzzServe holds for a caller that says anything: the waiter ends itself or
// answers with what makes sense, and keeps no descriptor.
func FuzzServe(f *testing.F) {
	for _, text := range scripts() {
		f.Add(text)
	}
	null, err := unix.Open(os.DevNull, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { unix.Close(null) })
	f.Fuzz(func(t *testing.T, text []byte) {
		before := len(testutil.FDs())
		s := &script{
			t: t, text: text, null: null, exitCode: -1,
			started: map[uint64]int{}, refused: map[uint64]int{}, exited: map[uint64]int{},
		}
		s.run()
		if t.Skipped() {
			return // by another goroutine: this one goes on
		}
		if s.exitCode != exitDone && s.exitCode != exitProtocol {
			t.Errorf("the waiter ends with %d", s.exitCode)
		}
		for id, n := range s.started {
			s.unheard -= n - s.exited[id]
		}
		if s.exitCode == exitDone {
			if s.unheard < 0 {
				t.Errorf("started %v, ended %v: %d more are missing than ran at the end", s.started, s.exited, -s.unheard)
			}
			if after := len(testutil.FDs()); after > before {
				t.Errorf("%d descriptors, were %d", after, before)
			}
		}
	})
}
