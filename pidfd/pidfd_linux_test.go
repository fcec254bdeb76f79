// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package pidfd

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-cb702d51/tfork-go/internal/testutil"
)

func TestMain(m *testing.M) { testutil.Main(m, nil) }

// patience is how long anything may take that is bound to happen, on a loaded
// machine or in an emulator.
const patience = 30 * time.Second

// soon is a context that fails the test rather than hanging it.
func soon(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), testutil.Scaled(patience))
	t.Cleanup(cancel)
	return ctx
}

// child is a process of ours and how to talk to it.
type child struct {
	*FD
	pid    int
	stdin  *os.File // the child waits for its end, where it reads
	stdout *bufio.Reader
}

// start starts a program with a descriptor from clone, as package tfork does,
// and sees to it that nothing of it is left.
func start(t testing.TB, env []string, argv ...string) *child {
	t.Helper()
	needSet(t)
	inR, inW := pipe(t)
	outR, outW := pipe(t)
	fd := -1
	pid, err := syscall.ForkExec(argv[0], argv, &syscall.ProcAttr{
		Env:   env,
		Files: []uintptr{uintptr(inR), uintptr(outW), 2},
		Sys:   &syscall.SysProcAttr{PidFD: &fd},
	})
	unix.Close(inR)
	unix.Close(outW)
	if err != nil {
		t.Fatal(err)
	}
	f, err := New(fd)
	if err != nil {
		t.Fatal(err)
	}
	c := &child{FD: f, pid: pid, stdin: os.NewFile(uintptr(inW), "stdin")}
	stdout := os.NewFile(uintptr(outR), "stdout")
	c.stdout = bufio.NewReader(stdout)
	t.Cleanup(func() {
		c.stdin.Close()
		stdout.Close()
		c.Signal(unix.SIGKILL)
		c.Wait(context.Background())
		c.Close()
	})
	return c
}

func needSet(t testing.TB) {
	t.Helper()
	testutil.NeedFeature(t, "5.4", HaveSet)
}

// pipe returns bare numbers: package os must not make them its own.
func pipe(t testing.TB) (r, w int) {
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	return p[0], p[1]
}

func sh(t testing.TB, script string) *child {
	t.Helper()
	return start(t, os.Environ(), "/bin/sh", "-c", script)
}

// sayPid reads the pid of a process that the child started.
func (c *child) sayPid(t testing.TB) (pid int) {
	t.Helper()
	line, err := c.stdout.ReadString('\n')
	if _, scanErr := fmt.Sscan(line, &pid); scanErr != nil {
		t.Fatalf("no pid in %q: %v", line, err)
	}
	return pid
}

// mustOpen opens a process for the length of the test.
func mustOpen(t testing.TB, pid int) *FD {
	t.Helper()
	f, err := Open(pid)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func TestNew_OwnsWhatItIsGiven(t *testing.T) {
	r, w := pipe(t)
	defer unix.Close(w)
	// Where process descriptors are missing, that is the answer to everything
	// but, under a filter that leaves waitid alone, the right one.
	missing := HaveSet() != nil
	tests := []struct {
		name string
		fd   int
	}{{"a pipe", r}, {"what clone leaves where it makes none", -1}, {"a number that is not open", 1 << 20}}
	for _, tt := range tests {
		_, err := New(tt.fd)
		if !errors.Is(err, unix.EBADF) && !(missing && errors.Is(err, ErrNotSupported)) {
			t.Errorf("New(%s) = %v, want EBADF (or, with process descriptors missing: %v, not supported)", tt.name, err, missing)
		}
	}
	if _, err := unix.FcntlInt(uintptr(r), unix.F_GETFD, 0); err != unix.EBADF {
		t.Errorf("the refused descriptor is still open: %v", err)
	}
}

func TestNew_NamesTheDescriptor(t *testing.T) {
	needSet(t)
	r, w := pipe(t)
	defer unix.Close(w)
	_, err := New(r)
	if want := fmt.Sprintf("pidfd: descriptor %d is not that of a process: waitid: bad file descriptor", r); err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

func TestNew_SetsFlags(t *testing.T) {
	needSet(t)
	fd, err := unix.PidfdOpen(os.Getpid(), 0)
	if err != nil {
		t.Fatal(err)
	}
	unix.FcntlInt(uintptr(fd), unix.F_SETFD, 0)
	f, err := New(fd)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	f.With(func(fd int) error {
		if flags, _ := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); flags&unix.FD_CLOEXEC == 0 {
			t.Error("not close-on-exec")
		}
		if flags, _ := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0); flags&unix.O_NONBLOCK == 0 {
			t.Error("not non-blocking")
		}
		return nil
	})
	if !f.poll {
		t.Error("the network poller did not take it")
	}
}

func TestOpen_Errors(t *testing.T) {
	for _, pid := range []int{0, -1} {
		if _, err := Open(pid); !errors.Is(err, unix.EINVAL) || !strings.Contains(err.Error(), "a pid is positive") {
			t.Errorf("Open(%d) = %v, want EINVAL and why", pid, err)
		}
	}
	c := sh(t, "exit 0")
	if _, err := c.Wait(soon(t)); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(c.pid); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("Open(a reaped process) = %v, want os.ErrProcessDone", err)
	}
}

func TestSignal(t *testing.T) {
	c := sh(t, "read x; exit 0")
	if err := c.Signal(0); err != nil {
		t.Errorf("signal 0 to a live process: %v", err)
	}
	if err := c.Signal(syscall.Signal(1000)); !errors.Is(err, unix.EINVAL) {
		t.Errorf("signal 1000 = %v, want EINVAL", err)
	}
	other := mustOpen(t, c.pid)
	if err := c.Signal(unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	testutil.Poll(t, patience, "a zombie", func() bool { return testutil.StateOf(c.pid) == "Z" })
	if err := c.Signal(unix.SIGTERM); err != nil {
		t.Errorf("signal to a zombie: %v", err)
	}
	if exit, err := c.Wait(soon(t)); err != nil || exit.Status.Signal() != unix.SIGTERM {
		t.Errorf("Wait = %v, %v, want SIGTERM", exit, err)
	}
	for name, f := range map[string]*FD{"the one that waited": c.FD, "another": other} {
		if err := f.Signal(unix.SIGTERM); err != os.ErrProcessDone {
			t.Errorf("%s: Signal after the end = %v, want os.ErrProcessDone", name, err)
		}
	}
}

func TestSignal_NotAllowed(t *testing.T) {
	needSet(t)
	if os.Getuid() == 0 {
		t.Skip("root may signal everybody")
	}
	f := mustOpen(t, 1)
	var call *os.SyscallError
	if err := f.Signal(0); !errors.Is(err, unix.EPERM) || !errors.As(err, &call) {
		t.Errorf("signal to pid 1 = %v, want EPERM in an *os.SyscallError", err)
	}
}

func TestClose_TwiceAndAfter(t *testing.T) {
	c := sh(t, "read x")
	f := mustOpen(t, c.pid)
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("second Close = %v", err)
	}
	_, waitErr := f.Wait(soon(t))
	_, tryErr := f.TryWait()
	_, infoErr := f.Info()
	_, exitErr := f.ExitInfo()
	_, getErr := f.GetFD(0)
	withErr := f.With(func(int) error { t.Error("With calls after Close"); return nil })
	for name, err := range map[string]error{
		"Wait": waitErr, "TryWait": tryErr, "Info": infoErr, "ExitInfo": exitErr, "GetFD": getErr, "With": withErr,
		"Signal": f.Signal(0),
	} {
		if !errors.Is(err, os.ErrClosed) {
			t.Errorf("%s after Close = %v, want os.ErrClosed", name, err)
		}
	}
}

func TestClose_KnownEndIsStillTold(t *testing.T) {
	c := sh(t, "exit 3")
	before, err := c.Wait(soon(t))
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	for name, wait := range map[string]func() (Exit, error){
		"Wait": func() (Exit, error) { return c.Wait(soon(t)) }, "TryWait": c.TryWait,
	} {
		if got, err := wait(); err != nil || got != before {
			t.Errorf("%s after Close = %v, %v, want %v", name, got, err, before)
		}
	}
	if err := c.Signal(0); err != os.ErrProcessDone {
		t.Errorf("Signal after Close = %v, want os.ErrProcessDone", err)
	}
}

func TestWith_CloseWaits(t *testing.T) {
	c := sh(t, "read x")
	f := mustOpen(t, c.pid)
	closed := make(chan error, 1)
	err := f.With(func(fd int) error {
		go func() { closed <- f.Close() }()
		// Close has begun once calls are refused; the number must stay ours.
		testutil.Poll(t, patience, "Close has begun", func() bool {
			return errors.Is(f.Signal(0), os.ErrClosed)
		})
		if err := unix.PidfdSendSignal(fd, 0, nil, 0); err != nil {
			t.Errorf("the number is dead inside With: %v", err)
		}
		select {
		case <-closed:
			t.Error("Close did not wait for With")
		default:
		}
		return io.ErrUnexpectedEOF
	})
	if err != io.ErrUnexpectedEOF {
		t.Errorf("With = %v, want fn's own error", err)
	}
	if err := <-closed; err != nil {
		t.Errorf("Close = %v", err)
	}
}

func TestGetFD(t *testing.T) {
	testutil.NeedFeature(t, "5.6", HaveGetFD)
	c := sh(t, "read x; echo $x")
	theirs, err := c.GetFD(1)
	if err != nil {
		t.Fatal(err)
	}
	defer theirs.Close()
	if _, err := theirs.WriteString("from outside\n"); err != nil {
		t.Fatal(err)
	}
	if line, err := c.stdout.ReadString('\n'); line != "from outside\n" {
		t.Errorf("read %q, %v", line, err)
	}
	if _, err := c.GetFD(1000); !errors.Is(err, unix.EBADF) {
		t.Errorf("GetFD(1000) = %v, want EBADF", err)
	}
	c.stdin.Close()
	if _, err := c.Wait(soon(t)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.GetFD(1); err != os.ErrProcessDone {
		t.Errorf("GetFD of a reaped process = %v, want os.ErrProcessDone", err)
	}
}
