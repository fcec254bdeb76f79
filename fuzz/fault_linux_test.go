// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package fuzz

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/seed-cb702d51/tfork-go/internal/testutil"
	"github.com/seed-cb702d51/tfork-go/tfork"
)

// fault is a system call that answers with an errno and does nothing.
type fault struct {
	name  string
	call  uint32
	errno unix.Errno
}

// faults are the system calls of a start and of waiting. Not among them are
// those without which the Go runtime ends the program (futex, mmap), and close,
// which cannot fail without effect.
var faults = []fault{
	{"openat", unix.SYS_OPENAT, unix.EMFILE},
	{"pipe2", unix.SYS_PIPE2, unix.ENFILE},
	{"fcntl", unix.SYS_FCNTL, unix.EINVAL},
	{"clone", unix.SYS_CLONE, unix.EAGAIN},
	{"clone3", unix.SYS_CLONE3, unix.ENOSYS},
	{"execve", unix.SYS_EXECVE, unix.ENOMEM},
	{"dup3", unix.SYS_DUP3, unix.EMFILE},
	{"chdir", unix.SYS_CHDIR, unix.EACCES},
	{"prlimit64", unix.SYS_PRLIMIT64, unix.EPERM},
	{"epoll_ctl", unix.SYS_EPOLL_CTL, unix.ENOSPC},
	{"waitid", unix.SYS_WAITID, unix.EPERM},
	{"pidfd_open", unix.SYS_PIDFD_OPEN, unix.EMFILE},
	{"pidfd_send_signal", unix.SYS_PIDFD_SEND_SIGNAL, unix.EPERM},
	{"ioctl", unix.SYS_IOCTL, unix.ENOTTY},
	{"socketpair", unix.SYS_SOCKETPAIR, unix.ENFILE},
	{"setsockopt", unix.SYS_SETSOCKOPT, unix.ENOMEM},
	{"getsockopt", unix.SYS_GETSOCKOPT, unix.EPERM},
	{"sendmsg", unix.SYS_SENDMSG, unix.EPERM},
	{"recvmsg", unix.SYS_RECVMSG, unix.EPERM},
	{"memfd_create", unix.SYS_MEMFD_CREATE, unix.ENOMEM},
	{"pwrite64", unix.SYS_PWRITE64, unix.ENOSPC},
	{"pread64", unix.SYS_PREAD64, unix.EIO},
	{"fstat", unix.SYS_FSTAT, unix.EIO},
	{"unshare", unix.SYS_UNSHARE, unix.EPERM},
	{"fchdir", unix.SYS_FCHDIR, unix.EACCES},
	{"umask", unix.SYS_UMASK, unix.EPERM},
	{"getdents64", unix.SYS_GETDENTS64, unix.EPERM},
	{"kill", unix.SYS_KILL, unix.EPERM},
}

func findFault(name string) fault {
	return faults[slices.IndexFunc(faults, func(f fault) bool { return f.name == name })]
}

// inject puts the calling thread under the fault for good, or the whole
// process.
func (f fault) inject(process bool) error {
	code := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0}, // the call's number
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 1, K: f.call},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(f.errno)},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	prog := unix.SockFprog{Len: uint16(len(code)), Filter: &code[0]}
	flags := uintptr(0)
	if process {
		flags = unix.SECCOMP_FILTER_FLAG_TSYNC
	}
	if os.Geteuid() != 0 {
		if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
			return err
		}
	}
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, flags, uintptr(unsafe.Pointer(&prog)))
	if errno != 0 {
		return errno
	}
	return nil
}

// onFaultyThread runs f on a thread under the fault, which ends with it.
func (f fault) onFaultyThread(run func()) error {
	var err error
	locked(func() {
		if err = f.inject(false); err == nil {
			run()
		}
	})
	return err
}

// wayNamed returns one of our ways.
func wayNamed(name string) way {
	for _, w := range []way{direct, shared, dedicated} {
		if w.name == name {
			return w
		}
	}
	panic("no way " + name)
}

// busyCommand is a command that needs a bit of everything.
func busyCommand(w way, large bool) (c command, out *bytes.Buffer) {
	args := []string{"-c", "cat; exit 7"}
	if large {
		args = append(args, many(4, 60_000)...) // travels in a memory file
	}
	c = w.make(nil, "/bin/sh", args...)
	out = new(bytes.Buffer)
	f := c.fields()
	*f.Stdin, *f.Stdout, *f.ExtraFiles = strings.NewReader("hello"), out, []*os.File{os.Stderr, nil}
	return c, out
}

// works runs a command, which must work.
func works(w way) error {
	c, out := busyCommand(w, true)
	err := c.Run()
	var ee *tfork.ExitError
	if !errors.As(err, &ee) || ee.ExitCode() != 7 || out.String() != "hello" {
		return fmt.Errorf("%s: Run = %w, output %q", w.name, err, out)
	}
	return nil
}

// leftovers lists what a fault left behind in this process.
func leftovers(before map[string]string, goroutines int) string {
	var left []string
	testutil.PollFor(patience/3, func() bool {
		tfork.CloseIdle()
		left = left[:0]
		for fd, to := range testutil.FDs() {
			if before[fd] == "" && !runtimeFD(to) {
				left = append(left, "fd "+fd+" -> "+to)
			}
		}
		for _, pid := range children() {
			left = append(left, fmt.Sprint("child ", pid, " ", testutil.StateOf(pid)))
		}
		if now := runtime.NumGoroutine(); now > goroutines {
			buf := make([]byte, 1<<16)
			left = append(left, fmt.Sprintf("%d goroutines: %s", now-goroutines, buf[:runtime.Stack(buf, true)]))
		}
		return len(left) == 0
	})
	return strings.Join(left, "; ")
}

// attempt makes a start that may fail, and sees through one that does not.
func attempt(w way) (outcome string) {
	c, out := busyCommand(w, true)
	if err := c.Start(); err != nil {
		return "Start: " + err.Error()
	}
	err := c.Wait()
	return fmt.Sprintf("Wait: %v, output %q", err, out)
}

// faultyStarts makes each system call fail in turn on the thread that starts a
// worker, in one process.
var faultyStarts = testutil.Helper("faulty starts", func(args []string) int {
	w, code := wayNamed(args[0]), 0
	time.AfterFunc(2*patience, func() { panic("hangs") })
	warmThreads()
	if err := works(w); err != nil {
		fmt.Println(err)
		return 1
	}
	tfork.CloseIdle()
	before, goroutines := testutil.FDs(), runtime.NumGoroutine()
	for _, f := range faults {
		if f.name == "waitid" && w.name == direct.name {
			continue // nobody could reap anything
		}
		// The waiter is there already in the second round: it has no fault.
		for _, warm := range []bool{false, true} {
			if warm && (works(w) != nil || w.name == direct.name) {
				continue
			}
			outcome := ""
			if err := f.onFaultyThread(func() { outcome = attempt(w) }); err != nil {
				fmt.Println("cannot inject:", err)
				return 3
			}
			left := leftovers(before, goroutines)
			next := works(w)
			fmt.Printf("%s %v (waiter there: %v): %s\n", f.name, f.errno, warm, outcome)
			if left != "" || next != nil || !named(f, outcome) {
				code = 1
				fmt.Printf("\tWRONG: left %q, next start: %v\n", left, next)
			}
			tfork.CloseIdle()
		}
	}
	return code
})

// named tells whether an outcome is a true end, or an error that says why.
func named(f fault, outcome string) bool {
	for _, says := range []string{
		"exit status 7", f.errno.Error(), "waiter", "exit status is lost",
		// The fault is the worker's too: the shell does not come up, or cannot
		// fork.
		"exit status 127", "exit status 2,",
	} {
		if strings.Contains(outcome, says) {
			return true
		}
	}
	return false
}

// warmThreads makes the runtime start threads now, not under a fault or limit.
func warmThreads() {
	var started, all sync.WaitGroup
	release := make(chan struct{})
	for range 24 {
		started.Add(1)
		all.Go(func() {
			runtime.LockOSThread()
			started.Done()
			<-release
			runtime.UnlockOSThread()
		})
	}
	started.Wait()
	close(release)
	all.Wait()
}

// runHelper runs a helper that judges by itself.
func runHelper(t *testing.T, name string, arg ...string) {
	t.Helper()
	out, end := underInit(t, name, arg...)
	switch {
	case end.Exited() && end.ExitStatus() == 3:
		t.Skip(out)
	case !end.Exited() || end.ExitStatus() != 0:
		t.Errorf("status %#x\n%s", end, out)
	default:
		t.Log(out)
	}
}

// TestFault_SystemCallsOfStart: a named error or a true status, nothing left,
// and the next start works.
func TestFault_SystemCallsOfStart(t *testing.T) {
	for _, w := range ourWays(t) {
		t.Run(w.name, func(t *testing.T) {
			forLong(t, w)
			runHelper(t, faultyStarts, w.name)
		})
	}
}

// faultyProcess makes a system call fail in the whole process, and so in its
// waiter.
var faultyProcess = testutil.Helper("faulty process", func(args []string) int {
	w, f := wayNamed(args[0]), findFault(args[1])
	time.AfterFunc(patience, func() { panic("hangs") })
	warmThreads()
	testutil.FDs()
	if err := f.inject(true); err != nil {
		fmt.Println("cannot inject:", err)
		return 3
	}
	outcome := attempt(w)
	fmt.Printf("%s %v: %s\n", f.name, f.errno, outcome)
	if !named(f, outcome) {
		return 1
	}
	return 0
})

// TestFault_SystemCallsOfTheWaiter: no hang, no false status, and nothing
// lives on when the caller has ended.
func TestFault_SystemCallsOfTheWaiter(t *testing.T) {
	needWaiter(t)
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) { runHelper(t, faultyProcess, shared.name, f.name) })
	}
}

// fewDescriptors starts with no room for descriptors, and then with a little
// more each time.
var fewDescriptors = testutil.Helper("few descriptors", func(args []string) int {
	time.AfterFunc(2*patience, func() { panic("hangs") })
	w := wayNamed(args[0])
	warmThreads()
	if err := works(w); err != nil {
		fmt.Println(err)
		return 1
	}
	return underLimits(w, unix.RLIMIT_NOFILE, uint64(len(testutil.FDs())-2), 18, unix.EMFILE)
})

// underLimits tries each value of a limit in turn. At least one must be too
// low, and one enough.
func underLimits(w way, resource int, from, steps uint64, want unix.Errno) (code int) {
	tfork.CloseIdle()
	before, goroutines := testutil.FDs(), runtime.NumGoroutine()
	var old unix.Rlimit
	unix.Getrlimit(resource, &old)
	failed, worked := 0, 0
	stride := uint64(1)
	if os.Getenv(longKey) == "" && resource == unix.RLIMIT_NPROC {
		stride = 3 // most values hit the waiter's threads, one like the other
	}
	for limit := from; limit <= from+steps; limit += stride {
		if err := unix.Setrlimit(resource, &unix.Rlimit{Cur: limit, Max: old.Max}); err != nil {
			fmt.Println("setrlimit:", err)
			return 1
		}
		outcome := attempt(w)
		unix.Setrlimit(resource, &old)
		if strings.Contains(outcome, "exit status 7") {
			worked++
		} else {
			failed++
		}
		left := leftovers(before, goroutines)
		next := works(w)
		tfork.CloseIdle()
		fmt.Printf("limit %d: %s\n", limit, outcome)
		if left != "" || next != nil || !named(fault{errno: want}, outcome) {
			code = 1
			fmt.Printf("\tWRONG: left %q, next start: %v\n", left, next)
		}
	}
	if failed == 0 || worked == 0 {
		fmt.Printf("%d failed, %d worked: the limits are not those that matter\n", failed, worked)
		return 1
	}
	return code
}

// TestFault_FewDescriptors: RLIMIT_NOFILE from "nothing left" to "works".
func TestFault_FewDescriptors(t *testing.T) {
	for _, w := range ourWays(t) {
		t.Run(w.name, func(t *testing.T) {
			forLong(t, w)
			runHelper(t, fewDescriptors, w.name)
		})
	}
}

// fewProcesses does the same with RLIMIT_NPROC, as a user who has nothing else
// running.
var fewProcesses = testutil.Helper("few processes", func(args []string) int {
	time.AfterFunc(2*patience, func() { panic("hangs") })
	w := wayNamed(args[0])
	warmThreads()
	if err := works(w); err != nil {
		fmt.Println(err)
		return 1
	}
	tfork.CloseIdle()
	return underLimits(w, unix.RLIMIT_NPROC, uint64(testutil.Threads(os.Getpid())), 18, unix.EAGAIN)
})

// TestFault_FewProcesses: RLIMIT_NPROC, which root does not feel.
func TestFault_FewProcesses(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs a user with no other process: only root can become one")
	}
	for _, w := range ourWays(t) {
		t.Run(w.name, func(t *testing.T) {
			forLong(t, w)
			user := &syscall.Credential{Uid: 1<<20 + rand.Uint32N(1<<24), Gid: 54321}
			c := tfork.Command("/proc/self/exe", w.name)
			c.Strategy = tfork.Direct
			c.Env, c.SysProcAttr = testutil.HelperEnv(fewProcesses), &syscall.SysProcAttr{Credential: user}
			c.Dir = "/"
			out, err := c.CombinedOutput()
			if err != nil {
				t.Errorf("%v\n%s", err, out)
			} else {
				t.Logf("%s", out)
			}
		})
	}
}
