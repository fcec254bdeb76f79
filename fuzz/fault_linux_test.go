// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package fuzz

import (
	"fmt"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
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

// faults are the system calls of a start and of waiting, of CloseIdle and of
// the waiter, as strace shows them. Not among them are those without which the
// Go runtime ends the program (futex, mmap, epoll_pwait, rt_sigaction, write to
// its eventfd), those that cannot fail (getppid, gettid), close, which cannot
// fail without effect, and kill, which only who has no pidfds makes.
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
	{"epoll_create1", unix.SYS_EPOLL_CREATE1, unix.EMFILE},
	{"eventfd2", unix.SYS_EVENTFD2, unix.ENFILE},
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
	{"faccessat", unix.SYS_FACCESSAT, unix.EIO},
	{"newfstatat", unix.SYS_NEWFSTATAT, unix.EIO},
	{"getrlimit", unix.SYS_GETRLIMIT, unix.EIO},
	{"ppoll", unix.SYS_PPOLL, unix.ENOMEM},
	{"shutdown", unix.SYS_SHUTDOWN, unix.ENOBUFS},
	{"getpgid", unix.SYS_GETPGID, unix.EPERM},
	{"getsid", unix.SYS_GETSID, unix.EPERM},
	{"getpriority", unix.SYS_GETPRIORITY, unix.EACCES},
	{"wait4", unix.SYS_WAIT4, unix.EPERM},
	{"prctl", unix.SYS_PRCTL, unix.EPERM},
}

// attributeFaults are those of a worker with attributes, before its execve.
var attributeFaults = []fault{
	{"setsid", unix.SYS_SETSID, unix.EPERM},
	{"setpgid", unix.SYS_SETPGID, unix.EACCES},
	{"chroot", unix.SYS_CHROOT, unix.EPERM},
	{"setgroups", unix.SYS_SETGROUPS, unix.ENOMEM},
	{"setgid", unix.SYS_SETGID, unix.EPERM},
	{"setuid", unix.SYS_SETUID, unix.EAGAIN},
	{"capget", unix.SYS_CAPGET, unix.EPERM},
	{"capset", unix.SYS_CAPSET, unix.EPERM},
}

// faultyRead is for who can tell one read from the other: see ours.
var faultyRead = fault{"read", unix.SYS_READ, unix.EIO}

func findFault(name string) fault {
	all := slices.Concat(faults, attributeFaults, cgroupFaults, []fault{faultyRead, faultyWrite})
	return all[slices.IndexFunc(all, func(f fault) bool { return f.name == name })]
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
	flags := uintptr(0)
	if process {
		flags = unix.SECCOMP_FILTER_FLAG_TSYNC
	}
	stray, err := installFilter(code, flags)
	if err == nil && stray != 0 {
		return fmt.Errorf("thread %d has a filter of its own", stray)
	}
	return err
}

// installFilter is seccomp(2).
func installFilter(code []unix.SockFilter, flags uintptr) (fd int, err error) {
	prog := unix.SockFprog{Len: uint16(len(code)), Filter: &code[0]}
	if os.Geteuid() != 0 {
		if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
			return -1, err
		}
	}
	n, _, errno := unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, flags, uintptr(unsafe.Pointer(&prog)))
	if errno != 0 {
		return -1, errno
	}
	return int(n), nil
}

// onFaultyThread runs f on a thread under the fault, which ends with it.
func (f fault) onFaultyThread(run func()) error {
	var err error
	testutil.OnOwnThread(func() {
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

// faultyStarts makes each system call fail in turn on the thread that starts a
// worker, in one process.
var faultyStarts = testutil.Helper("faulty starts", func(args []string) int {
	w := wayNamed(args[0])
	time.AfterFunc(testutil.Scaled(10*patience), func() { panic("hangs") })
	warmThreads()
	mayBecomeAnother()
	if err := works(w); err != nil {
		fmt.Println(err)
		return 1
	}
	tfork.CloseIdle()
	before := takeInventory("")
	return max(eachFault(w, before, faults, rounds), eachFault(w, before, attributeFaults, attributeRounds))
})

// eachFault makes a start of each kind under each fault, judges its outcome, and
// makes one without.
func eachFault(w way, before inventory, faults []fault, rounds []round) (code int) {
	for _, f := range faults {
		if f.name == "waitid" && w.name == direct.name {
			continue // nobody could reap anything
		}
		// The waiter is there already in the later rounds: it has no fault.
		for _, r := range rounds {
			if !slices.Contains(r.ways, w.name) {
				continue
			}
			if r.warm {
				if err := works(w); err != nil {
					fmt.Printf("%s (%s):\n\tWRONG: no start without a fault: %v\n", f.name, r.name, err)
					code = 1
					continue
				}
			}
			outcome := ""
			if err := f.onFaultyThread(func() { outcome = r.attempt(w) }); err != nil {
				fmt.Println("cannot inject:", err)
				return 3
			}
			fmt.Printf("%s %v (%s): %s\n", f.name, f.errno, r.name, outcome)
			if !f.survived(w, before, outcome) {
				code = 1
			}
			tfork.CloseIdle()
		}
	}
	return code
}

// survived tells whether an attempt under the fault ended in one of the ways it
// may, left nothing, and the next start works.
func (f fault) survived(w way, before inventory, outcome string) bool {
	left, next := before.leftovers(), works(w)
	if left == "" && next == nil && named(f, outcome) {
		return true
	}
	fmt.Printf("\tWRONG: left %q, next start: %v\n", left, next)
	before.removeGroups()
	return false
}

// round is a kind of worker, and whether its waiter is there already.
type round struct {
	name    string
	ways    []string
	warm    bool
	attempt func(way) string
}

// A waiter is started for a function as it is for a program.
var rounds = []round{
	{"program", []string{direct.name, shared.name, dedicated.name}, false, attempt},
	{"program, waiter there", []string{shared.name, dedicated.name}, true, attempt},
	{"function", []string{direct.name}, false, attemptFunc},
	{"function, waiter there", []string{shared.name}, true, attemptFunc},
}

// Of Direct only: a waiter that is there has no fault, and one that is started
// under it is another than the process and not used. Theirs is faultyProcess.
var attributeRounds = []round{
	{"group", []string{direct.name}, false, attemptGroup},
	{"session", []string{direct.name}, false, attemptSession},
}

// trueEnds and namedErrors are all that may come of a start under a fault. %s is
// the fault's own errno.
var (
	trueEnds = []string{
		`Wait: exit status 7, output "hello"`,
		// The fault is the worker's too: its loader fails, or the shell cannot
		// fork.
		`Wait: exit status 127, output ""`,
		`Wait: exit status 2, output ""`,
		// A function cannot be run, and says why to its standard error.
		`Wait: exit status 125, output ""`,
	}
	namedErrors = []string{
		`Start: .*%s`,
		`Wait: .*%s, output .*`,
		// The group's numbers are not known, or it is still there and cannot be
		// seen or removed.
		`Wait: exit status 7, output "hello"; Sample: cgroup .*%s`,
		`Wait: exit status 7\ncgroup: remove the group of /bin/sh: .*%s, output "hello".*`,
		`Start: tfork: Cmd.Cgroup: the worker cannot be born there .* and cannot join .*%s\); Cmd.CgroupMove would move it after its start`,
		// What fails in the waiter is told by its exit code: see its list (2 is
		// a Go runtime that cannot make a thread, a signal one without memory, 127
		// the loader of a program that is not static).
		`Start: 4 waiters in a row could not be used: the waiter ended before it served: (exit status (12[123457]|0|2)|signal: (segmentation fault|killed)|%s)`,
		// It cannot hear us, and takes that for our end.
		`Start: 4 waiters in a row could not be used: the waiter takes no more workers`,
		// A filter is a difference between this thread's waiter and this process.
		`Start: the starting thread and the main thread of the caller differ in credentials, no_new_privs or seccomp filters: .*`,
		// The waiter was up, and found that it cannot work.
		`Start: the waiter is gone without telling how the worker ended`,
		`Wait: tfork: exit status is lost: the waiter is gone without telling how the worker ended, output .*`,
		`Wait: tfork: exit status is lost: pidfd: process has ended, its exit status cannot be known: .*`,
		`Start: start of a waiter: the network poller does not take its socket .*`,
		// Fewer descriptors are allowed than all of the user's processes have on
		// their way in sockets (unix(7)).
		`Start: request to the waiter: sendmsg: too many references: cannot splice`,
	}
)

// named tells whether an outcome is a true end, or an error that says why.
func named(f fault, outcome string) bool {
	if slices.Contains(trueEnds, outcome) {
		return true
	}
	return slices.ContainsFunc(namedErrors, func(pattern string) bool {
		pattern = strings.ReplaceAll(pattern, "%s", regexp.QuoteMeta(f.errno.Error()))
		return regexp.MustCompile("^" + pattern + "$").MatchString(outcome)
	})
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
	judgeHelper(t, out, end)
}

// judgeHelper takes what a helper wrote, and its end: 3 is that it cannot be done here.
func judgeHelper(t *testing.T, out string, end unix.WaitStatus) {
	t.Helper()
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
	time.AfterFunc(testutil.Scaled(patience), func() { panic("hangs") })
	warmThreads()
	testutil.FDs()
	mayBecomeAnother()
	if err := f.inject(true); err != nil {
		fmt.Println("cannot inject:", err)
		return 3
	}
	code := 0
	for _, try := range attemptsFor(f) {
		outcome := try(w)
		fmt.Printf("%s %v: %s\n", f.name, f.errno, outcome)
		if !named(f, outcome) {
			code = 1
		}
	}
	tfork.CloseIdle()
	return code
})

// attemptsFor are those that reach the fault in a whole process.
func attemptsFor(f fault) []func(way) string {
	if slices.Contains(attributeFaults, f) {
		return []func(way) string{attemptGroup, attemptSession}
	}
	return []func(way) string{attempt}
}

// TestFault_SystemCallsOfTheProcess: no hang, no false status, and nothing
// lives on when the caller has ended.
func TestFault_SystemCallsOfTheProcess(t *testing.T) {
	for _, w := range ourWays(t) {
		t.Run(w.name, func(t *testing.T) {
			forLong(t, w)
			for _, f := range slices.Concat(faults, attributeFaults) {
				t.Run(f.name, func(t *testing.T) { runHelper(t, faultyProcess, w.name, f.name) })
			}
		})
	}
}
