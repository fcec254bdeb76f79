// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package tfork

import (
	"bytes"
	"errors"
	"io"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-cb702d51/tfork-go/internal/testutil"
)

// TestProcess_DroppedLeavesNothing: a worker that its caller forgot is
// collected all the same.
func TestProcess_DroppedLeavesNothing(t *testing.T) {
	forEachStrategy(t, func(t *testing.T, m mode) {
		pids := map[int]bool{}
		before := len(testutil.FDs())
		for range 20 {
			c := m.command("/bin/true")
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			pids[c.Process.Pid] = true
		}
		testutil.Poll(t, patience, "all are gone without being waited for", func() bool {
			runtime.GC()
			for pid := range pids {
				if testutil.Exists(pid) {
					return false
				}
			}
			return len(testutil.FDs()) <= before+4 // the shared waiter's
		})
	})
}

func TestProcess_ReleaseLeavesNoZombie(t *testing.T) {
	forEachStrategy(t, func(t *testing.T, m mode) {
		p, let := startWaiting(t, m, 0)
		pid, done := p.Pid, p.Done()
		if err := p.Release(); err != nil {
			t.Fatal(err)
		}
		if err := p.Release(); err != nil {
			t.Errorf("second Release: %v", err)
		}
		if _, err := p.Status(false); !errors.Is(err, ErrReleased) {
			t.Errorf("Status = %v, want ErrReleased", err)
		}
		if _, err := p.Wait(); !errors.Is(err, ErrReleased) {
			t.Errorf("Wait = %v, want ErrReleased", err)
		}
		if err := p.Kill(); !errors.Is(err, ErrReleased) {
			t.Errorf("Kill = %v, want ErrReleased", err)
		}
		if _, err := p.EventFD(); !errors.Is(err, ErrReleased) {
			t.Errorf("EventFD = %v, want ErrReleased", err)
		}
		if p.Pid != pid {
			t.Errorf("Pid changed to %d", p.Pid)
		}
		let()
		<-done
		testutil.Poll(t, patience, "worker is gone", func() bool { return !testutil.Exists(pid) })
	})
}

// TestProcess_ReleaseAlone: nobody else but Release sees to it that the worker
// is collected: no Done, no event fd, and no cleanup of a dropped Process.
func TestProcess_ReleaseAlone(t *testing.T) {
	forEachStrategy(t, func(t *testing.T, m mode) {
		p, let := startWaiting(t, m, 0)
		if err := p.Release(); err != nil {
			t.Fatal(err)
		}
		let()
		testutil.Poll(t, patience, "worker is gone", func() bool { return !testutil.Exists(p.Pid) })
		runtime.KeepAlive(p)
	})
}

// TestProcess_ManyGoroutines: every method at once, and one truth.
func TestProcess_ManyGoroutines(t *testing.T) {
	forEachStrategy(t, func(t *testing.T, m mode) {
		for range 20 {
			p, let := startWaiting(t, m, 9)
			var all sync.WaitGroup
			var taken atomic.Int32
			begin := make(chan struct{})
			for i := range 24 {
				all.Go(func() {
					<-begin
					switch i % 6 {
					case 0:
						<-p.Done()
					case 1:
						p.Status(false)
					case 2:
						p.Signal(syscall.Signal(0))
					case 3:
						if f, err := p.EventFD(); err == nil {
							defer f.Close()
							taken.Add(1)
							wantExit(t, p, 9)
							if !pollIn(t, f, 0) {
								t.Error("event fd is not readable when the status is told")
							}
						} else if !errors.Is(err, ErrEventFDTaken) {
							t.Errorf("EventFD: %v", err)
						}
					case 4:
						p.WithHandle(func(uintptr) {})
					}
					wantExit(t, p, 9)
				})
			}
			close(begin)
			let()
			all.Wait()
			if n := taken.Load(); n != 1 {
				t.Fatalf("%d of 4 goroutines got the event fd, want 1", n)
			}
		}
	})
}

func TestProcess_EventFDOnce(t *testing.T) {
	forEachStrategy(t, func(t *testing.T, m mode) {
		p, let := startWaiting(t, m, 0)
		e := mustEventFD(t, p)
		if _, err := p.EventFD(); !errors.Is(err, ErrEventFDTaken) {
			t.Errorf("second EventFD = %v, want ErrEventFDTaken", err)
		}
		let()
		b := make([]byte, 2)
		if n, err := e.Read(b); n != 1 || err != nil {
			t.Errorf("event fd: %d bytes, %v, want 1", n, err)
		}
		if _, err := e.Read(b); err != io.EOF {
			t.Errorf("event fd after its byte: %v, want EOF", err)
		}
	})
}

// TestProcess_EventFDAfterTheEnd: it is readable at once.
func TestProcess_EventFDAfterTheEnd(t *testing.T) {
	forEachStrategy(t, func(t *testing.T, m mode) {
		p := mustStart(t, m.command("/bin/true"))
		wantExit(t, p, 0)
		if e := mustEventFD(t, p); !pollIn(t, e, 0) {
			t.Error("not readable")
		}
	})
}

// TestProcess_EventFDClosedEarly: its owner may close it at any time.
func TestProcess_EventFDClosedEarly(t *testing.T) {
	forEachStrategy(t, func(t *testing.T, m mode) {
		p, let := startWaiting(t, m, 4)
		mustEventFD(t, p).Close()
		let()
		wantExit(t, p, 4)
	})
}

func TestProcess_SignalAfterTheEnd(t *testing.T) {
	forEachStrategy(t, func(t *testing.T, m mode) {
		p := mustStart(t, m.command("/bin/true"))
		wantExit(t, p, 0)
		if err := p.Signal(unix.SIGTERM); !errors.Is(err, os.ErrProcessDone) {
			t.Errorf("Signal = %v, want os.ErrProcessDone", err)
		}
		if err := p.WithHandle(func(uintptr) { t.Error("lent") }); !errors.Is(err, os.ErrProcessDone) && !errors.Is(err, os.ErrNoHandle) {
			t.Errorf("WithHandle = %v, want os.ErrProcessDone", err)
		}
	})
}

// TestProcess_HandleIsLentBeyondTheEnd: who has it may wait for the worker, and the
// number is valid until it is given back.
func TestProcess_HandleIsLentBeyondTheEnd(t *testing.T) {
	forEachStrategy(t, func(t *testing.T, m mode) {
		p, let := startWaiting(t, m, 9)
		defer time.AfterFunc(testutil.Scaled(patience), func() { panic("a lent handle holds up the Process") }).Stop()
		err := p.WithHandle(func(handle uintptr) {
			let()
			wantExit(t, p, 9)
			if err := p.Signal(unix.SIGTERM); !errors.Is(err, os.ErrProcessDone) {
				t.Errorf("Signal = %v, want os.ErrProcessDone", err)
			}
			if err := unix.PidfdSendSignal(int(handle), 0, nil, 0); err != unix.ESRCH {
				t.Errorf("signal to the handle: %v, want ESRCH", err)
			}
			if err := p.WithHandle(func(uintptr) { t.Error("lent") }); !errors.Is(err, os.ErrProcessDone) {
				t.Errorf("WithHandle = %v, want os.ErrProcessDone", err)
			}
		})
		if errors.Is(err, os.ErrNoHandle) {
			let()
			wantExit(t, p, 9)
		} else if err != nil {
			t.Error(err)
		}
	})
}

func TestProcess_DestroyInEveryState(t *testing.T) {
	forEachStrategy(t, func(t *testing.T, m mode) {
		running, _ := startWaiting(t, m, 0)
		stopped, _ := startWaiting(t, m, 0)
		if err := stopped.Signal(unix.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		ended := mustStart(t, m.command("/bin/false"))
		<-ended.Done()
		for name, p := range map[string]*Process{"running": running, "stopped": stopped, "ended": ended} {
			for range 2 {
				if err := p.Destroy(); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
			if testutil.Exists(p.Pid) {
				t.Errorf("%s: still there", name)
			}
		}
		wantExit(t, ended, 1)
	})
}

func TestProcess_ZeroValue(t *testing.T) {
	p := new(Process)
	for name, err := range map[string]error{
		"Kill": p.Kill(), "Release": p.Release(), "Destroy": p.Destroy(), "WithHandle": p.WithHandle(nil),
	} {
		if err == nil {
			t.Errorf("%s of a process that was never started: no error", name)
		}
	}
	if _, err := p.Wait(); err == nil {
		t.Error("Wait of a process that was never started: no error")
	}
}

// TestProcess_StoppedIsStillRunning: only an end is an end.
func TestProcess_StoppedIsStillRunning(t *testing.T) {
	forEachStrategy(t, func(t *testing.T, m mode) {
		p, let := startWaiting(t, m, 6)
		for _, sig := range []syscall.Signal{unix.SIGSTOP, unix.SIGCONT} {
			if err := p.Signal(sig); err != nil {
				t.Fatal(err)
			}
			want := "T"
			if sig == unix.SIGCONT {
				want = "S"
			}
			testutil.Poll(t, patience, "state "+want, func() bool { return testutil.StateOf(p.Pid) == want })
			if _, err := p.Status(false); !errors.Is(err, ErrRunning) {
				t.Errorf("after %v: %v", sig, err)
			}
		}
		let()
		wantExit(t, p, 6)
	})
}

// TestPidHandle: the way without pidfd, for Linux before 5.4 and sandboxes.
func TestPidHandle(t *testing.T) {
	c := Command("/bin/sh", "-c", "read x; exit 3")
	c.Strategy = Direct
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	p := mustStart(t, c)
	p.h.close()
	h := &pidHandle{pid: p.Pid}
	p.h = h
	if _, err := p.Status(false); !errors.Is(err, ErrRunning) {
		t.Errorf("Status(false) = %v", err)
	}
	if err := p.WithHandle(nil); !errors.Is(err, os.ErrNoHandle) {
		t.Errorf("WithHandle = %v, want os.ErrNoHandle", err)
	}
	if err := p.Signal(unix.SIGCONT); err != nil {
		t.Errorf("Signal: %v", err)
	}
	in.Write([]byte("\n"))
	wantExit(t, p, 3)
	if ru := p.status.Rusage(); ru == nil || ru.Maxrss == 0 {
		t.Error("no rusage")
	}
	if err := h.signal(unix.SIGTERM); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("signal after reaping = %v", err)
	}
}

// TestDirect_UsersPidFD: the user's own pidfd is blocking, whatever we do with
// ours, and so fit for the standard library.
func TestDirect_UsersPidFD(t *testing.T) {
	if err := directParks(); err != nil {
		t.Skip(err)
	}
	forEachStrategy(t, func(t *testing.T, m mode) {
		fd := -1
		c := m.command("/bin/sh", "-c", "read x")
		in, _ := c.StdinPipe()
		c.SysProcAttr = &syscall.SysProcAttr{PidFD: &fd}
		p := mustStart(t, c)
		if fd < 0 {
			t.Fatal("no pidfd")
		}
		defer unix.Close(fd)
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
		if err != nil || flags&unix.O_NONBLOCK != 0 {
			t.Errorf("flags %#x, %v, want a blocking pidfd", flags, err)
		}
		if cloexec, _ := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); cloexec&unix.FD_CLOEXEC == 0 {
			t.Error("not close-on-exec")
		}
		info, err := os.ReadFile("/proc/self/fdinfo/" + itoa(fd))
		if err != nil || !bytes.Contains(info, []byte("Pid:\t"+itoa(p.Pid)+"\n")) {
			t.Errorf("not the worker's: %v\n%s", err, info)
		}
		in.Write([]byte("\n"))
		wantExit(t, p, 0)
	})
}

func TestStatus_Words(t *testing.T) {
	tests := []struct {
		raw  syscall.WaitStatus
		want string
	}{
		{0x0000, "exit status 0"},
		{0x0300, "exit status 3"},
		{0x0009, "signal: killed"},
		{0x008b, "signal: segmentation fault (core dumped)"},
		{0x137f, "stop signal: stopped (signal)"},
	}
	for _, tt := range tests {
		if got := (Status{wait: tt.raw}).String(); got != tt.want {
			t.Errorf("%#x: %q, want %q", int(tt.raw), got, tt.want)
		}
	}
	var none *ProcessState
	if none.String() != "<nil>" || none.ExitCode() != -1 {
		t.Error("nil ProcessState")
	}
	if !strings.HasPrefix((&ProcessState{status: Status{source: SourceExitInfo}}).String(), "exit status 0") || (&ProcessState{}).SysUsage() != nil {
		t.Error("ProcessState without rusage")
	}
}
