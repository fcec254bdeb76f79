// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package waiter

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/seed-cb702d51/tfork-go/internal/sys"
	"github.com/seed-cb702d51/tfork-go/internal/testutil"
)

// faultKey is in the environment of a waiter that fails: what of its [env], and
// the errno, for each failure in turn ("spawn=24,spawn=12").
const faultKey = "TFORK_TEST_FAULT"

func init() { playFaulty = serveFaulty }

// serveFaulty is serve with the faults that the environment names, if any.
func serveFaulty(fd int) {
	if text := os.Getenv(faultKey); text != "" {
		serveIn(func(fd int) env { return parseFaults(text).in(systemEnv(fd)) }, fd)
	}
}

// faultList says what fails, by name, how often and with what. All else, and
// all later calls, are the system's.
type faultList struct {
	mu   sync.Mutex
	left map[string][]unix.Errno
}

func parseFaults(text string) *faultList {
	l := &faultList{left: map[string][]unix.Errno{}}
	for _, one := range strings.Split(text, ",") {
		name, number, _ := strings.Cut(one, "=")
		errno, _ := strconv.Atoi(number)
		l.left[name] = append(l.left[name], unix.Errno(errno))
	}
	return l
}

// next returns the error of a call, or nil.
func (l *faultList) next(name string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	errnos := l.left[name]
	if len(errnos) == 0 {
		return nil
	}
	l.left[name] = errnos[1:]
	return errnos[0]
}

// waiting names the three ways in which a waiter waits: it looks who has ended,
// asks again whether it has children, and reaps.
func waiting(idType, options int) string {
	switch {
	case idType == unix.P_PID:
		return "reap"
	case options&unix.WNOHANG != 0:
		return "ask"
	}
	return "look"
}

func (l *faultList) in(e env) env {
	real := e
	e.receive = func(buf, oob []byte) (int, int, int, error) {
		if err := l.next("receive"); err != nil {
			return 0, 0, 0, err
		}
		return real.receive(buf, oob)
	}
	e.spawn = func(path string, argv []string, attr *syscall.ProcAttr) (int, error) {
		if err := l.next("spawn"); err != nil {
			return 0, err
		}
		return real.spawn(path, argv, attr)
	}
	e.pidfd = func(pid int) (int, error) {
		if err := l.next("pidfd"); err != nil {
			return -1, err
		}
		return real.pidfd(pid)
	}
	e.wait = func(idType, id, options int) (sys.Waited, error) {
		if err := l.next(waiting(idType, options)); err != nil {
			return sys.Waited{}, os.NewSyscallError("waitid", err)
		}
		return real.wait(idType, id, options)
	}
	e.kill = func(pid int, sig syscall.Signal) error {
		if err := l.next("kill"); err != nil {
			return err
		}
		return real.kill(pid, sig)
	}
	return e
}

// withFaults makes every new waiter fail so, until the test or restore ends that.
func withFaults(t testing.TB, calls []string, errno unix.Errno) (restore func()) {
	old := waiterEnv
	var list []string
	for _, call := range calls {
		list = append(list, fmt.Sprintf("%s=%d", call, errno))
	}
	waiterEnv = append(slices.Clone(old), faultKey+"="+strings.Join(list, ","))
	restore = func() { waiterEnv = old }
	t.Cleanup(restore)
	return restore
}

// envFaults are what fails, and what the caller hears of it.
var envFaults = []struct {
	calls  []string
	errnos []unix.Errno
	heard  func(t *testing.T, p *Pool, errno unix.Errno)
	// code is what the waiter ends with; -1: it serves on.
	code int
}{
	{[]string{"spawn"}, []unix.Errno{
		unix.E2BIG, unix.EACCES, unix.EAGAIN, unix.EMFILE, unix.ENOENT, unix.ENOEXEC, unix.ENOMEM, unix.EPERM,
		// These mean something else where the caller sends.
		unix.EBADF, unix.EPIPE, unix.ECONNRESET,
	}, hearRefusal, -1},
	{[]string{"pidfd", "pidfd"}, []unix.Errno{unix.EMFILE, unix.ENFILE, unix.ENOMEM, unix.ENODEV, unix.EPERM, unix.ENOSYS}, hearNoPidFD, -1},
	{[]string{"pidfd"}, []unix.Errno{unix.EMFILE}, hearOnePidFD, -1},
	{[]string{"kill"}, []unix.Errno{unix.EPERM, unix.EINVAL, unix.EAGAIN}, hearNotSignaled, -1},
	{[]string{"look"}, []unix.Errno{unix.EPERM, unix.ECHILD, unix.EINVAL}, hearTruth, -1},
	{[]string{"look", "ask"}, []unix.Errno{unix.EPERM, unix.ECHILD, unix.EINVAL}, hearLoss, exitStolen},
	{[]string{"reap"}, []unix.Errno{unix.EPERM, unix.ECHILD, unix.EINVAL}, hearLoss, exitStolen},
	{[]string{"receive"}, []unix.Errno{unix.EPERM, unix.ENOMEM, unix.EIO}, hearNobody, exitDone},
}

// hearRefusal: the errno of a start is the caller's, as it is.
func hearRefusal(t *testing.T, p *Pool, errno unix.Errno) {
	if w, err := p.Spawn(&Request{Path: testutil.Tiny(t, 0), Args: []string{"tiny"}}); err != errno || w != nil {
		t.Errorf("Spawn = %v, %v; want %v", w, err, errno)
	}
}

// hearTruth: the worker's status comes all the same.
func hearTruth(t *testing.T, p *Pool, _ unix.Errno) { ends3(t, spawnLive(t, p, nil)) }

func ends3(t *testing.T, l *live) {
	t.Helper()
	if status, err := l.end(); err != nil || status.ExitStatus() != 3 {
		t.Errorf("the worker's end: %#x, %v; want exit status 3", status, err)
	}
}

func hearNoPidFD(t *testing.T, p *Pool, _ unix.Errno) {
	user := -2
	l := spawnLive(t, p, func(r *Request) { r.Sys = &syscall.SysProcAttr{PidFD: &user} })
	if l.pidfd != -1 || user != -1 {
		t.Errorf("pidfds %d and %d of a worker that has none", l.pidfd, user)
	}
	ends3(t, l)
}

// hearOnePidFD: the one that there is belongs to the library.
func hearOnePidFD(t *testing.T, p *Pool, _ unix.Errno) {
	testutil.NeedFeature(t, "5.3", havePidFD)
	user := -2
	l := spawnLive(t, p, func(r *Request) { r.Sys = &syscall.SysProcAttr{PidFD: &user} })
	if l.pidfd < 0 || user != -1 {
		t.Errorf("pidfds %d and %d, want one", l.pidfd, user)
	}
	ends3(t, l)
}

func hearNotSignaled(t *testing.T, p *Pool, errno unix.Errno) {
	l := spawnLive(t, p, nil)
	var call *os.SyscallError
	if err := l.Signal(unix.SIGTERM); !errors.As(err, &call) || call.Syscall != "kill" || call.Err != errno {
		t.Errorf("Signal = %v, want kill: %v", err, errno)
	}
	ends3(t, l)
}

func hearLoss(t *testing.T, p *Pool, _ unix.Errno) {
	if status, err := spawnLive(t, p, nil).end(); err != ErrGone || status != 0 {
		t.Errorf("the worker's end: %#x, %v; want ErrGone", status, err)
	}
}

// hearNobody: a waiter that cannot hear takes that for its caller's end.
func hearNobody(t *testing.T, p *Pool, _ unix.Errno) {
	w, err := p.Spawn(&Request{Path: testutil.Tiny(t, 0), Args: []string{"tiny"}})
	var start *startError
	if w != nil || !errors.Is(err, errClosed) && !errors.As(err, &start) {
		t.Errorf("Spawn = %v, %v; want that no waiter could be used", w, err)
	}
}

// eachEnvFault runs f for each fault and errno, or for those that end the waiter.
func eachEnvFault(t *testing.T, all bool, f func(t *testing.T, n int, errno unix.Errno)) {
	for n, fault := range envFaults {
		if !all && fault.code < 0 {
			continue
		}
		for _, errno := range fault.errnos {
			t.Run(fmt.Sprint(strings.Join(fault.calls, " and "), "/", unix.ErrnoName(errno)), func(t *testing.T) { f(t, n, errno) })
		}
	}
}

// TestFault_EnvOfAWaiter: what fails in a waiter reaches its caller by name, or
// does not matter; nothing is left in either; and the next start works, by the same
// waiter where that serves on.
func TestFault_EnvOfAWaiter(t *testing.T) {
	eachEnvFault(t, true, func(t *testing.T, n int, errno unix.Errno) {
		f, p := envFaults[n], newPool(t)
		fds, children := len(testutil.FDs()), len(testutil.Children())
		restore := withFaults(t, f.calls, errno)
		f.heard(t, p, errno)
		faulty := 0
		if f.code < 0 {
			faulty = p.shared.pid()
		}
		restore()
		nextStart(t, p, faulty)
		p.CloseIdle()
		testutil.Poll(t, soon, "the caller has what it had", func() bool {
			return len(testutil.FDs()) <= fds && len(testutil.Children()) <= children
		})
	})
}

// nextStart makes one more worker: of the same waiter, unless that is 0.
func nextStart(t *testing.T, p *Pool, same int) {
	t.Helper()
	w, err := p.Spawn(&Request{Path: testutil.Tiny(t, 42), Args: []string{"tiny"}})
	if err != nil {
		t.Fatalf("the next start: %v", err)
	}
	if status, err := within(t, w); err != nil || status.ExitStatus() != 42 {
		t.Errorf("the next worker's end: %#x, %v; want exit status 42", status, err)
	}
	if same != 0 && w.WaiterPid() != same {
		t.Errorf("waiter %d serves, want %d", w.WaiterPid(), same)
	}
	testutil.PollFor(soon, func() bool {
		return len(testutil.FDsOf(w.WaiterPid())) == len(ownFDs) && len(testutil.ChildrenOf(w.WaiterPid())) == 0
	})
	checkWaiterFDs(t, w.WaiterPid())
	if left := testutil.ChildrenOf(w.WaiterPid()); len(left) > 0 {
		t.Errorf("the waiter keeps %v", left)
	}
}

// TestFault_EnvThatEndsAWaiter: with the exit code that says why.
func TestFault_EnvThatEndsAWaiter(t *testing.T) {
	eachEnvFault(t, false, func(t *testing.T, n int, errno unix.Errno) {
		withFaults(t, envFaults[n].calls, errno)
		w := startRaw(t)
		q := tinyRequest(t)
		w.send(spawnMessage(&q, 1, 1), 0)
		if code := w.end(t); code != envFaults[n].code {
			t.Errorf("the waiter ended with %d, want %d", code, envFaults[n].code)
		}
	})
}
