// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package waiter

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-cb702d51/tfork-go/internal/feature"
	"github.com/seed-cb702d51/tfork-go/internal/testutil"
)

// soon is longer than anything here takes, also on an emulated machine.
const soon = 30 * time.Second

// shell is a request to run a script.
func shell(script string) *Request {
	return &Request{
		Path: "/bin/sh", Args: []string{"sh", "-c", script}, Env: os.Environ(),
		Files: []uintptr{0, 1, 2},
	}
}

// newPool returns a pool that leaves no waiter behind.
func newPool(t testing.TB) *Pool {
	p := &Pool{}
	t.Cleanup(p.CloseIdle)
	return p
}

// live is a worker that runs until it is told to end.
type live struct {
	*Worker
	pidfd int
	stdin *os.File
}

// spawnLive starts a worker that ends when the test does.
func spawnLive(t testing.TB, p *Pool, change func(*Request)) *live {
	t.Helper()
	var pipe [2]int // not os.Pipe, whose ends are non-blocking
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pipe[0])
	stdin := os.NewFile(uintptr(pipe[1]), "stdin")
	req := shell("read x; exit 3")
	req.Files[0] = uintptr(pipe[0])
	if change != nil {
		change(req)
	}
	w, err := p.Spawn(req)
	if err != nil {
		stdin.Close()
		t.Fatalf("Spawn: %v", err)
	}
	l := &live{w, -1, stdin}
	if fd, ok := w.TakePidFD(); ok {
		l.pidfd = fd
	}
	t.Cleanup(func() { l.end() })
	return l
}

// end lets the worker end and waits for that.
func (l *live) end() (syscall.WaitStatus, error) {
	l.stdin.Close()
	status, _, err := l.Result()
	if l.pidfd >= 0 {
		unix.Close(l.pidfd)
		l.pidfd = -1
	}
	return status, err
}

// within fails the test where the worker's result is not there in time.
func within(t testing.TB, w *Worker) (syscall.WaitStatus, error) {
	t.Helper()
	select {
	case <-w.Done():
	case <-time.After(soon):
		t.Fatalf("no result of worker %d within %v", w.Pid(), soon)
	}
	status, _, err := w.Result()
	return status, err
}

func TestSpawn_StatusIsTrue(t *testing.T) {
	tests := []struct {
		script string
		want   syscall.WaitStatus
	}{
		{"exit 0", 0},
		{"exit 7", 7 << 8},
		{"exit 255", 255 << 8},
		{"kill -TERM $$", 15},
		{"kill -KILL $$", 9},
	}
	testutil.ForEachSIGCHLD(t, func(t *testing.T) {
		for _, dedicated := range []bool{false, true} {
			for _, tt := range tests {
				t.Run(fmt.Sprintf("%s dedicated=%v", tt.script, dedicated), func(t *testing.T) {
					r := shell(tt.script)
					r.Dedicated = dedicated
					w, err := pool.Spawn(r)
					if err != nil {
						t.Fatal(err)
					}
					got, rusage, err := w.Result()
					if err != nil || got != tt.want {
						t.Errorf("Result = %#x, %v; want %#x", got, err, tt.want)
					}
					if rusage == nil || rusage.Maxrss == 0 {
						t.Errorf("rusage %+v", rusage)
					}
					if err := w.Signal(unix.SIGTERM); !errors.Is(err, os.ErrProcessDone) {
						t.Errorf("Signal after the end: %v", err)
					}
				})
			}
		}
	})
}

// TestSpawn_ErrorsAreThoseOfStartProcess starts what cannot be started, by
// both roads.
func TestSpawn_ErrorsAreThoseOfStartProcess(t *testing.T) {
	dir := t.TempDir()
	noexec := dir + "/noexec"
	script := dir + "/script"
	os.WriteFile(noexec, []byte("x"), 0o600)
	os.WriteFile(script, []byte("no interpreter line\n"), 0o700)
	long := strings.Repeat("x", 1<<17)
	tests := []struct {
		name   string
		change func(r *Request)
	}{
		{"no such file", func(r *Request) { r.Path = dir + "/nothing" }},
		{"no permission", func(r *Request) { r.Path = noexec }},
		{"no program", func(r *Request) { r.Path = script }},
		{"a directory", func(r *Request) { r.Path = dir }},
		{"no such directory", func(r *Request) { r.Dir = dir + "/nothing" }},
		{"NUL in the path", func(r *Request) { r.Path = "/bin/\x00sh" }},
		{"NUL in an argument", func(r *Request) { r.Args = []string{"a\x00b"} }},
		{"an argument too long", func(r *Request) { r.Args = []string{"x", long} }},
		{"a variable too long", func(r *Request) { r.Env = []string{"X=" + long} }},
		{"arguments too long", func(r *Request) {
			for range 100 {
				r.Args = append(r.Args, long[1:])
			}
		}},
		{"a descriptor that is none", func(r *Request) { r.Files = []uintptr{0, 1, 2, 777_777} }},
		{"no such group", func(r *Request) { r.Sys = &syscall.SysProcAttr{Setpgid: true, Pgid: 1 << 30} }},
		{"no such root", func(r *Request) { r.Sys = &syscall.SysProcAttr{Chroot: dir + "/nothing"} }},
		{"a terminal that is none", func(r *Request) { r.Sys = &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 0} }},
		{"Ctty out of range", func(r *Request) { r.Sys = &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 9} }},
		{"Setctty and Foreground", func(r *Request) { r.Sys = &syscall.SysProcAttr{Setctty: true, Foreground: true} }},
		{"a cgroup that is none", func(r *Request) { r.Sys = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: 0} }},
	}
	// What is refused before any kernel sees it is refused as Linux would.
	ours := map[string]syscall.Errno{"arguments too long": unix.E2BIG, "a descriptor that is none": unix.EBADF}
	dev := null(t)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, dedicated := range []bool{false, true} {
				r := shell("exit 0")
				r.Files = []uintptr{dev, dev, dev}
				r.Dedicated = dedicated
				tt.change(r)
				_, want := syscall.ForkExec(r.Path, r.Args, &syscall.ProcAttr{Dir: r.Dir, Env: r.Env, Files: r.Files, Sys: r.Sys})
				if linux, ok := ours[tt.name]; ok && want != linux {
					t.Skipf("this kernel itself says %q, Linux %q", want, linux)
				}
				w, got := pool.Spawn(r)
				if got == nil {
					w.Result()
				}
				if got == nil || want == nil || got.Error() != want.Error() {
					t.Errorf("dedicated=%v: %v, want %v", dedicated, got, want)
				}
				var errno syscall.Errno
				if _, isErrno := got.(syscall.Errno); errors.As(want, &errno) && !isErrno {
					t.Errorf("dedicated=%v: %T, want a bare errno", dedicated, got)
				}
			}
		})
	}
}

func TestSpawn_RefusesByFieldName(t *testing.T) {
	tests := []struct {
		field string
		sys   syscall.SysProcAttr
	}{
		{"Ptrace", syscall.SysProcAttr{Ptrace: true}},
		{"Cloneflags", syscall.SysProcAttr{Cloneflags: unix.CLONE_PARENT}},
		{"Cloneflags", syscall.SysProcAttr{Cloneflags: unix.CLONE_FILES}},
		{"Cloneflags", syscall.SysProcAttr{Cloneflags: unix.CLONE_PIDFD}},
	}
	for _, tt := range tests {
		r := shell("exit 0")
		r.Sys = &tt.sys
		_, err := newPool(t).Spawn(r)
		var fe *FieldError
		if !errors.As(err, &fe) || fe.Field != tt.field || !strings.HasPrefix(err.Error(), tt.field+": ") {
			t.Errorf("%+v: %v, want a FieldError of %s", tt.sys, err, tt.field)
		}
	}
}

func TestSpawn_TreeIsRootedAtTheCaller(t *testing.T) {
	for _, dedicated := range []bool{false, true} {
		d, w := mustDescribe(t, &pool, func(r *Request) { r.Dedicated = dedicated })
		if d.Pid != w.Pid() || d.Ppid != w.WaiterPid() || d.ParentOf != os.Getpid() {
			t.Errorf("worker %d of %d of %d, want %d of %d of %d", d.Pid, d.Ppid, d.ParentOf, w.Pid(), w.WaiterPid(), os.Getpid())
		}
		sid, _ := unix.Getsid(0)
		if d.Pgid != unix.Getpgrp() || d.Sid != sid {
			t.Errorf("worker's group %d and session %d, want ours: %d and %d", d.Pgid, d.Sid, unix.Getpgrp(), sid)
		}
	}
}

func TestSpawn_OneWaiterServesAllButTheDedicated(t *testing.T) {
	p := newPool(t)
	a, b := spawnLive(t, p, nil), spawnLive(t, p, nil)
	c := spawnLive(t, p, func(r *Request) { r.Dedicated = true })
	if a.WaiterPid() != b.WaiterPid() || a.WaiterPid() == c.WaiterPid() {
		t.Errorf("waiters %d, %d and, dedicated, %d", a.WaiterPid(), b.WaiterPid(), c.WaiterPid())
	}
	if line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", a.WaiterPid())); string(line) != "tfork-waiter\x00" {
		t.Errorf("the waiter's command line is %q, %v", line, err)
	}
	if status, err := c.end(); err != nil || status != 3<<8 {
		t.Errorf("status %#x, %v", status, err)
	}
	testutil.Poll(t, soon, "the dedicated waiter is gone", func() bool { return !testutil.Exists(c.WaiterPid()) })
}

func TestWaiter_TakesItsName(t *testing.T) {
	testutil.NeedComm(t)
	w := spawnLive(t, &pool, nil)
	if name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", w.WaiterPid())); string(name) != "tfork-waiter\n" {
		t.Errorf("the waiter's name is %q, %v", name, err)
	}
}

func TestCloseIdle(t *testing.T) {
	p := newPool(t)
	p.CloseIdle() // none there
	w := spawnLive(t, p, nil)
	p.CloseIdle()
	if !testutil.Alive(w.WaiterPid()) {
		t.Fatal("a waiter that serves a worker was ended")
	}
	w.end()
	p.CloseIdle()
	if testutil.Exists(w.WaiterPid()) {
		t.Error("the idle waiter is still there, or not reaped")
	}
	next := spawnLive(t, p, nil)
	if next.WaiterPid() == w.WaiterPid() {
		t.Error("no new waiter after CloseIdle")
	}
}

// TestSpawn_ManyAtOnce starts from 64 goroutines while a thief takes every
// status it can get.
func TestSpawn_ManyAtOnce(t *testing.T) {
	testutil.ForEachSIGCHLD(t, func(t *testing.T) {
		p := newPool(t)
		tiny := make([]string, 8)
		for code := range tiny {
			tiny[code] = testutil.Tiny(t, byte(code))
		}
		dev := null(t)
		var wg sync.WaitGroup
		for i := range 64 {
			wg.Go(func() {
				for j := range 8 {
					code := (i + j) % len(tiny)
					w, err := p.Spawn(&Request{Path: tiny[code], Args: []string{"tiny"}, Files: []uintptr{dev, dev, dev}})
					if err != nil {
						t.Error(err)
						return
					}
					if status, err := within(t, w); err != nil || status.ExitStatus() != code {
						t.Errorf("status %#x, %v; want exit code %d", status, err, code)
					}
				}
			})
		}
		wg.Wait()
	})
}

func TestWorker_SignalThroughTheWaiter(t *testing.T) {
	w := spawnLive(t, &pool, nil)
	if err := w.Signal(0); err != nil {
		t.Errorf("signal 0: %v", err)
	}
	if err := w.Signal(99); !errors.Is(err, unix.EINVAL) {
		t.Errorf("signal 99: %v, want EINVAL", err)
	}
	if err := w.Signal(unix.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	if status, err := within(t, w.Worker); err != nil || status != syscall.WaitStatus(unix.SIGUSR1) {
		t.Errorf("status %#x, %v", status, err)
	}
	if err := w.Signal(unix.SIGUSR1); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("after the end: %v, want os.ErrProcessDone", err)
	}
}

// havePidFD tells whether this system has pidfds.
func havePidFD() error {
	fd, err := unix.PidfdOpen(os.Getpid(), 0)
	if err != nil {
		return &feature.Error{Name: "pidfd_open(2)", Since: "Linux 5.3", Reason: err}
	}
	return unix.Close(fd)
}

func TestWorker_PidFDIsTheWorkers(t *testing.T) {
	testutil.NeedFeature(t, "5.3", havePidFD)
	var user int
	w := spawnLive(t, &pool, func(r *Request) { r.Sys = &syscall.SysProcAttr{PidFD: &user} })
	if w.pidfd < 0 || user < 0 {
		t.Fatalf("pidfds %d and %d", w.pidfd, user)
	}
	defer unix.Close(user)
	for _, fd := range []int{w.pidfd, user} {
		info, _ := os.ReadFile(fmt.Sprintf("/proc/self/fdinfo/%d", fd))
		if !strings.Contains(string(info), fmt.Sprintf("\nPid:\t%d\n", w.Pid())) {
			t.Errorf("pidfd %d is not of worker %d:\n%s", fd, w.Pid(), info)
		}
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
			t.Errorf("pidfd %d is not close-on-exec", fd)
		}
	}
	// Non-blocking mode belongs to the description, and each has its own.
	unix.SetNonblock(w.pidfd, true)
	if flags, _ := unix.FcntlInt(uintptr(user), unix.F_GETFL, 0); flags&unix.O_NONBLOCK != 0 {
		t.Error("the two pidfds share one description")
	}
	if fd, ok := w.TakePidFD(); ok {
		t.Errorf("the pidfd was given twice: %d", fd)
	}
	unix.PidfdSendSignal(w.pidfd, unix.SIGKILL, nil, 0)
	if status, err := within(t, w.Worker); err != nil || status != 9 {
		t.Errorf("status %#x, %v", status, err)
	}
}
