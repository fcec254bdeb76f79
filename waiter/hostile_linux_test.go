// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package waiter

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-cb702d51/tfork-go/internal/sys"
	"github.com/seed-cb702d51/tfork-go/internal/testutil"
	"github.com/seed-cb702d51/tfork-go/internal/wire"
)

// rawWaiter is a waiter at whose socket the test says what it likes.
type rawWaiter struct {
	fd   int
	proc *os.Process
}

func startRaw(t testing.TB) *rawWaiter {
	t.Helper()
	proc, ours, err := startWaiter(maxThreads)
	if err != nil {
		t.Fatal(err)
	}
	w := &rawWaiter{fd: fdOf(ours), proc: proc}
	t.Cleanup(func() {
		ours.Close()
		proc.Wait()
	})
	return w
}

// end waits for the waiter's end, which must come soon, and returns its exit
// code.
func (w *rawWaiter) end(t testing.TB) int {
	t.Helper()
	overdue := time.AfterFunc(testutil.Scaled(soon), func() {
		t.Errorf("the waiter still serves after %v", soon)
		w.proc.Kill()
	})
	defer overdue.Stop()
	state, err := w.proc.Wait()
	if err != nil {
		t.Fatal(err)
	}
	return state.ExitCode()
}

// tinyRequest asks for a worker that exits at once.
func tinyRequest(t testing.TB) wire.Request {
	return wire.Request{Path: testutil.Tiny(t, 0), Args: []string{"tiny"}, Dir: "/", Slots: []bool{true}}
}

// spawnMessage is a whole request with its body inside.
func spawnMessage(q *wire.Request, id uint64, files int) []byte {
	body := q.Append(nil)
	return append(wire.Envelope{Files: uint32(files), Body: uint32(len(body))}.Append(nil, id), body...)
}

// oddMessage is one that no caller of ours sends.
type oddMessage struct {
	name string
	send func(t testing.TB, w *rawWaiter)
}

// Each of the hostile messages ends the waiter.
var hostile = []oddMessage{
	{"nothing but noise", func(t testing.TB, w *rawWaiter) { w.send([]byte("GET / HTTP/1.0\r\n\r\n")) }},
	{"a cut header", func(t testing.TB, w *rawWaiter) { w.send(wire.AppendReady(nil)[:7]) }},
	{"a cut request", func(t testing.TB, w *rawWaiter) {
		q := tinyRequest(t)
		w.send(spawnMessage(&q, 1, 1)[:60], 0)
	}},
	{"another version", func(t testing.TB, w *rawWaiter) {
		q := tinyRequest(t)
		msg := spawnMessage(&q, 1, 1)
		msg[0]++
		w.send(msg, 0)
	}},
	{"an answer", func(t testing.TB, w *rawWaiter) { w.send(wire.StartedInfo{Pid: 1}.Append(nil, 1)) }},
	{"an oversized message", func(t testing.TB, w *rawWaiter) { w.send(make([]byte, wire.MaxMessage+1)) }},
	{"an oversized body", func(t testing.TB, w *rawWaiter) {
		w.send(wire.Envelope{Carrier: wire.BodyInMemfd, Body: wire.MaxBody + 1}.Append(nil, 1), 0)
	}},
	{"descriptors with a signal", func(t testing.TB, w *rawWaiter) { w.send(wire.SignalInfo{Worker: 1}.Append(nil, 1), 0) }},
	{"too many descriptors", func(t testing.TB, w *rawWaiter) {
		q := tinyRequest(t)
		w.send(spawnMessage(&q, 1, 1), 0, 0)
	}},
	{"more descriptors than slots", func(t testing.TB, w *rawWaiter) {
		q := tinyRequest(t)
		w.send(spawnMessage(&q, 1, 2), 0, 0)
	}},
	{"a pipe for a memfd", func(t testing.TB, w *rawWaiter) {
		var p [2]int
		unix.Pipe2(p[:], unix.O_CLOEXEC)
		defer closeAll(p[:])
		w.send(wire.Envelope{Carrier: wire.BodyInMemfd, Body: 100}.Append(nil, 1), p[0])
	}},
	{"a memfd that is not sealed", func(t testing.TB, w *rawWaiter) {
		fd, err := sys.Memfd("x")
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		unix.Write(fd, make([]byte, 100))
		w.send(wire.Envelope{Carrier: wire.BodyInMemfd, Body: 100}.Append(nil, 1), fd)
	}},
	{"a memfd of another size", func(t testing.TB, w *rawWaiter) {
		fd, err := bodyMemfd(make([]byte, 100))
		if err != nil {
			t.Skip(err)
		}
		defer unix.Close(fd)
		w.send(wire.Envelope{Carrier: wire.BodyInMemfd, Body: 5000}.Append(nil, 1), fd)
	}},
	{"an empty socket of files", func(t testing.TB, w *rawWaiter) { sendSide(t, w, 2) }},
	{"too few files in the socket", func(t testing.TB, w *rawWaiter) { sendSide(t, w, 3, 0, 0) }},
	{"too many files in the socket", func(t testing.TB, w *rawWaiter) { sendSide(t, w, 1, 0, 0) }},
	{"flags of the future", func(t testing.TB, w *rawWaiter) {
		q := tinyRequest(t)
		q.Flags = 1 << 30
		w.send(spawnMessage(&q, 1, 1), 0)
	}},
	{"the same request again", func(t testing.TB, w *rawWaiter) {
		var p [2]int
		unix.Pipe2(p[:], unix.O_CLOEXEC)
		t.Cleanup(func() { closeAll(p[:]) }) // the worker runs until then
		out := int(null(t))
		q := wire.Request{Path: "/bin/cat", Args: []string{"cat"}, Dir: "/", Slots: []bool{true, true}}
		msg := spawnMessage(&q, 1, 2)
		w.send(msg, p[0], out)
		w.send(msg, p[0], out)
	}},
	{"a message from somebody else", func(t testing.TB, w *rawWaiter) {
		c := exec.Command(testutil.Exe())
		c.Env = testutil.HelperEnv(intruder)
		f := os.NewFile(uintptr(dup(t, w.fd)), "waiter's socket")
		defer f.Close()
		c.ExtraFiles = []*os.File{f}
		if out, err := c.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
	}},
}

// Where the numbers stand in a request whose body is in the message.
const (
	kindAt     = 1
	envelopeAt = wire.HeaderLen
	bodyAt     = wire.HeaderLen + 12
	slotsAt    = bodyAt + 6*4 + 2*8
)

// altered are requests of which one byte is another.
var altered = []struct {
	name string
	at   int
	to   byte
}{
	{"kind 0", kindAt, 0},
	{"kind 8", kindAt, 8},
	{"byte 2 is not 0", 2, 1},
	{"byte 3 is not 0", 3, 0x80},
	{"a length of 16 MiB more", 7, 1},
	{"carrier 4", envelopeAt, 4},
	{"byte 17 is not 0", envelopeAt + 1, 1},
	{"byte 18 is not 0", envelopeAt + 2, 0xff},
	{"byte 19 is not 0", envelopeAt + 3, 0x80},
	{"flag 13", bodyAt + 1, 1 << 5},
	{"death signal 65", bodyAt + 3*4, 65},
	{"a list that is longer than the message", slotsAt, 0xff},
	{"a slot that is neither open nor closed", slotsAt + 4, 2},
}

// alteredMessages are those requests.
func alteredMessages() (all []oddMessage) {
	for _, a := range altered {
		all = append(all, oddMessage{a.name, func(t testing.TB, w *rawWaiter) {
			q := tinyRequest(t)
			msg := spawnMessage(&q, 1, 1)
			msg[a.at] = a.to
			w.send(msg, 0)
		}})
	}
	return all
}

// sharing are flags for clone(2) that would give a worker something of the
// waiter's own, or another parent.
var sharing = map[string]uint64{
	"files": unix.CLONE_FILES, "directory": unix.CLONE_FS, "signal handlers": unix.CLONE_SIGHAND | unix.CLONE_VM,
	"threads": unix.CLONE_THREAD | unix.CLONE_SIGHAND | unix.CLONE_VM, "parent": unix.CLONE_PARENT,
	"tracer": unix.CLONE_PTRACE, "semaphores": unix.CLONE_SYSVSEM, "I/O context": unix.CLONE_IO,
	"a signal at its end": uint64(unix.SIGTERM), "a flag of clone3": unix.CLONE_INTO_CGROUP,
}

// sharingMessages are requests with them.
func sharingMessages() (all []oddMessage) {
	for _, name := range slices.Sorted(maps.Keys(sharing)) {
		all = append(all, oddMessage{"shared: " + name, func(t testing.TB, w *rawWaiter) {
			q := tinyRequest(t)
			q.Cloneflags = sharing[name]
			w.send(spawnMessage(&q, 1, 1), 0)
		}})
	}
	return all
}

// TestProcAttr_FlagsOfClone: of all there can be, those that it may have.
func TestProcAttr_FlagsOfClone(t *testing.T) {
	for bit := range 64 {
		flag := uint64(1) << bit
		_, _, err := procAttr(&wire.Request{Cloneflags: flag}, nil)
		if may := flag&mayClone != 0; may != (err == nil) {
			t.Errorf("flag %#x: %v, want that it may be: %v", flag, err, may)
		}
	}
}

// intruder has got hold of the caller's end of the socket, at descriptor 3.
var intruder = testutil.Helper("intruder", func([]string) int {
	q := wire.Request{Path: "/bin/true", Args: []string{"true"}, Dir: "/", Slots: []bool{true}}
	if err := (&rawWaiter{fd: 3}).send(spawnMessage(&q, 1, 1), 1); err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
})

func dup(t testing.TB, fd int) int {
	n, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// sendSide sends a request for n files, of which fds are in the side socket.
func sendSide(t testing.TB, w *rawWaiter, n int, fds ...int) {
	side, err := sideSocket(fds)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(side)
	q := tinyRequest(t)
	q.Slots = make([]bool, n)
	for i := range q.Slots {
		q.Slots[i] = true
	}
	body := q.Append(nil)
	w.send(append(wire.Envelope{Carrier: wire.FilesInSocket, Files: uint32(n), Body: uint32(len(body))}.Append(nil, 1), body...), side)
}

func (w *rawWaiter) send(msg []byte, fds ...int) error {
	var oob []byte
	if len(fds) > 0 {
		oob = unix.UnixRights(fds...)
	}
	return sendmsg(w.fd, msg, oob, 0)
}

// incomplete are requests of which descriptors were left out on the way, for want
// of room.
var incomplete = []oddMessage{
	{"too few descriptors", func(t testing.TB, w *rawWaiter) {
		q := tinyRequest(t)
		w.send(spawnMessage(&q, 1, 1))
	}},
	{"no memfd", func(t testing.TB, w *rawWaiter) {
		w.send(wire.Envelope{Carrier: wire.BodyInMemfd, Body: 100}.Append(nil, 1))
	}},
	{"no socket of files", func(t testing.TB, w *rawWaiter) {
		w.send(wire.Envelope{Carrier: wire.FilesInSocket, Files: 1}.Append(nil, 1))
	}},
}

// TestServe_MissingDescriptorsAreRefused: not every kernel says that it has left
// some out, and that is no reason to lose those that run.
func TestServe_MissingDescriptorsAreRefused(t *testing.T) {
	for _, h := range incomplete {
		t.Run(h.name, func(t *testing.T) {
			w := startRaw(t)
			w.answer(t) // ready
			h.send(t, w)
			head, payload := w.answer(t)
			refused, err := wire.ParseRefused(payload)
			if head.Kind != wire.Refused || head.ID != 1 || err != nil || refused.Reason != wire.ByKernel || refused.Errno != uint32(unix.EMFILE) {
				t.Errorf("the answer is %+v %+v, %v, want EMFILE", head, refused, err)
			}
			q := tinyRequest(t)
			w.send(spawnMessage(&q, 2, 1), 0)
			if head, _ := w.answer(t); head.Kind != wire.Started || head.ID != 2 {
				t.Errorf("the next answer is %+v, want a start", head)
			}
		})
	}
}

// answer receives one message.
func (w *rawWaiter) answer(t testing.TB) (wire.Header, []byte) {
	t.Helper()
	buf, oob := make([]byte, wire.MaxMessage), make([]byte, unix.CmsgSpace(4*8))
	var n, oobn int
	testutil.Poll(t, soon, "an answer", func() (there bool) {
		var err error
		n, oobn, _, err = recvmsg(w.fd, buf, oob, 0)
		return err == nil
	})
	if fds, err := rights(oob[:oobn]); err == nil {
		closeAll(fds)
	}
	head, payload, err := wire.Parse(buf[:n])
	if err != nil {
		t.Fatal(err)
	}
	return head, payload
}

func TestServe_HostileMessagesEndIt(t *testing.T) {
	for _, h := range slices.Concat(hostile, alteredMessages(), sharingMessages()) {
		t.Run(h.name, func(t *testing.T) {
			w := startRaw(t)
			h.send(t, w)
			if code := w.end(t); code != exitProtocol {
				t.Errorf("the waiter ended with %d, want %d", code, exitProtocol)
			}
		})
	}
}
