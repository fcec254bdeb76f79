// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package tfork

import (
	"encoding/binary"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/seed-cb702d51/tfork-go/internal/testutil"
)

// These are the reference's own tests (lib/util/tests/tfork.c), by name,
// without their sleeps, each in every SIGCHLD set-up and with every strategy.

// sambaTests is the one table.
var sambaTests = []struct {
	name string
	run  func(t *testing.T, m mode)
}{
	{"simple", sambaSimple},
	{"status", sambaStatus},
	{"sigign", sambaSigign},
	{"sighandler", sambaSighandler},
	{"process_hierarchy", sambaProcessHierarchy},
	{"pipe", sambaPipe},
	{"twice", sambaTwice},
	{"threads", sambaThreads},
	{"cmd_send", sambaCmdSend},
	{"event_file_handle", sambaEventFileHandle},
	{"status_handle", sambaStatusHandle},
}

func TestSamba(t *testing.T) {
	for _, tt := range sambaTests {
		t.Run(tt.name, func(t *testing.T) {
			forEachStrategy(t, func(t *testing.T, m mode) {
				testutil.ForEachSIGCHLD(t, func(t *testing.T) {
					if foreign := t.Name(); !guardedIn(foreign) {
						m.needGuard(t)
					}
					tt.run(t, m)
				})
			})
		})
	}
}

// guardedIn tells whether a set-up leaves our statuses alone.
func guardedIn(testName string) bool {
	return len(testName) > 8 && testName[len(testName)-8:] == "/default"
}

var funcOtherPid = testFunc("samba: other pid", func(w *Worker) int {
	if strconv.Itoa(os.Getpid()) == w.Args[0] {
		return 1
	}
	return 0
})

func sambaSimple(t *testing.T, m mode) {
	p := mustStart(t, m.function(funcOtherPid, strconv.Itoa(os.Getpid())))
	if err := p.Destroy(); err != nil {
		t.Errorf("Destroy: %v", err)
	}
	if err := p.Destroy(); err != nil {
		t.Errorf("Destroy again: %v", err)
	}
}

var funcExit = testFunc("exit", func(w *Worker) int {
	code, _ := strconv.Atoi(w.Args[0])
	return code
})

func wantExit(t *testing.T, p *Process, want int) {
	t.Helper()
	st, err := p.Status(true)
	if err != nil || !st.Exited() || st.ExitStatus() != want {
		t.Errorf("Status = %v, %v, want exit status %d", st, err, want)
	}
}

func sambaStatus(t *testing.T, m mode) {
	wantExit(t, mustStart(t, m.function(funcExit, "123")), 123)
}

// waitForByte is a worker that ends when it is told to.
var funcWaitForByte = testFunc("wait for byte", func(w *Worker) int {
	io.ReadFull(os.Stdin, make([]byte, 1))
	code, _ := strconv.Atoi(w.Args[0])
	return code
})

// startWaiting starts a worker that ends with code when let is called.
func startWaiting(t *testing.T, m mode, code int) (p *Process, let func()) {
	t.Helper()
	c := m.function(funcWaitForByte, strconv.Itoa(code))
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	return mustStart(t, c), func() {
		if _, err := in.Write([]byte{1}); err != nil {
			t.Error(err)
		}
	}
}

func sambaSigign(t *testing.T, m mode) {
	testutil.IgnoreSIGCHLD(t)
	m.needGuard(t)
	p, let := startWaiting(t, m, 123)
	// A plain child of the application, deliberately not waited for: the
	// kernel reaps it.
	plain, err := os.StartProcess("/bin/true", []string{"true"}, &os.ProcAttr{})
	if err != nil {
		t.Fatal(err)
	}
	testutil.Poll(t, patience, "plain child is gone", func() bool { return !testutil.Exists(plain.Pid) })
	plain.Release()
	let()
	wantExit(t, p, 123)
}

func sambaSighandler(t *testing.T, m mode) {
	c := make(chan os.Signal, 64)
	signal.Notify(c, unix.SIGCHLD)
	defer func() { signal.Stop(c); testutil.RestoreSIGCHLD() }()
	p, let := startWaiting(t, m, 123)
	plain, err := os.StartProcess("/bin/true", []string{"true"}, &os.ProcAttr{})
	if err != nil {
		t.Fatal(err)
	}
	// The handler hears of the application's own child, and reaps just that.
	testutil.Poll(t, patience, "application's SIGCHLD", func() bool { return len(c) > 0 })
	plain.Wait()
	plain.Release() // a thief's success leaves the pidfd open
	let()
	wantExit(t, p, 123)
}

var funcHierarchy = testFunc("samba: hierarchy", func(w *Worker) int {
	pgid, _ := strconv.Atoi(w.Args[0])
	sid, _ := strconv.Atoi(w.Args[1])
	mine, _ := unix.Getpgid(0)
	session, _ := unix.Getsid(0)
	if mine != pgid || session != sid {
		return 1
	}
	// A program started from here must be collected as usual.
	if exec.Command("/bin/true").Run() != nil {
		return 2
	}
	return 0
})

func sambaProcessHierarchy(t *testing.T, m mode) {
	pgid, _ := unix.Getpgid(0)
	sid, _ := unix.Getsid(0)
	wantExit(t, mustStart(t, m.function(funcHierarchy, strconv.Itoa(pgid), strconv.Itoa(sid))), 0)

	p, let := startWaiting(t, m, 0)
	want := os.Getpid()
	if m.strategy == Waiter {
		between := testutil.ParentOf(p.Pid)
		if between == want {
			t.Error("no waiter between caller and worker")
		}
		if got := testutil.ParentOf(between); got != want {
			t.Errorf("waiter's parent is %d, want the caller %d", got, want)
		}
	} else if got := testutil.ParentOf(p.Pid); got != want {
		t.Errorf("worker's parent is %d, want the caller %d", got, want)
	}
	let()
	wantExit(t, p, 0)
}

var funcPipe = testFunc("samba: pipe", func(w *Worker) int {
	b := make([]byte, 1)
	if _, err := io.ReadFull(w.Files[0], b); err != nil || b[0] != 1 {
		return 1
	}
	if _, err := w.Files[1].Write([]byte{2}); err != nil {
		return 1
	}
	return 0
})

func mustPipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); w.Close() })
	return r, w
}

func sambaPipe(t *testing.T, m mode) {
	downR, downW := mustPipe(t)
	upR, upW := mustPipe(t)
	c := m.function(funcPipe)
	c.ExtraFiles = []*os.File{downR, upW}
	p := mustStart(t, c)
	downR.Close()
	upW.Close()
	if _, err := downW.Write([]byte{1}); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 1)
	if _, err := io.ReadFull(upR, b); err != nil || b[0] != 2 {
		t.Errorf("read %v, %v, want [2]", b, err)
	}
	wantExit(t, p, 0)
}

var funcTwiceInner = testFunc("samba: twice inner", func(w *Worker) int {
	if binary.Write(w.Files[0], binary.LittleEndian, int64(os.Getpid())) != nil {
		return 1
	}
	return 0
})

var funcTwice = testFunc("samba: twice", func(w *Worker) int {
	strategy, err := ParseStrategy(w.Args[0])
	if err != nil {
		return 3
	}
	c := Func(funcTwiceInner)
	c.Strategy, c.Dedicated = strategy, w.Args[1] == "true"
	c.ExtraFiles = []*os.File{w.Files[0]}
	if c.Start() != nil {
		return 4
	}
	st, err := c.Process.Status(true)
	if err != nil || !st.Success() {
		return 5
	}
	return 0
})

func sambaTwice(t *testing.T, m mode) {
	r, w := mustPipe(t)
	c := m.function(funcTwice, m.strategy.String(), strconv.FormatBool(m.dedicated))
	c.ExtraFiles = []*os.File{w}
	p := mustStart(t, c)
	w.Close()
	var pid int64
	if err := binary.Read(r, binary.LittleEndian, &pid); err != nil || pid == int64(p.Pid) || pid <= 0 {
		t.Errorf("inner worker's pid: %d, %v", pid, err)
	}
	wantExit(t, p, 0)
}

var funcThreads = testFunc("samba: threads", func(w *Worker) int {
	id, _ := strconv.ParseInt(w.Args[0], 10, 64)
	if binary.Write(w.Files[0], binary.LittleEndian, id+1) != nil {
		return 1
	}
	return 0
})

func sambaThreads(t *testing.T, m mode) {
	var threads sync.WaitGroup
	for id := range int64(64) {
		threads.Go(func() {
			r, w, err := os.Pipe()
			if err != nil {
				t.Error(err)
				return
			}
			defer r.Close()
			c := m.function(funcThreads, strconv.FormatInt(id, 10))
			c.ExtraFiles = []*os.File{w}
			err = c.Start()
			w.Close()
			if err != nil {
				t.Error(err)
				return
			}
			var got int64
			if err := binary.Read(r, binary.LittleEndian, &got); err != nil || got != id+1 {
				t.Errorf("thread %d read %d, %v", id, got, err)
			}
			if st, err := c.Process.Status(true); err != nil || !st.Success() {
				t.Errorf("thread %d: %v, %v", id, st, err)
			}
		})
	}
	threads.Wait()
}
