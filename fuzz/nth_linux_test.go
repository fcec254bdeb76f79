// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package fuzz

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/seed-cb702d51/tfork-go/internal/testutil"
	"github.com/seed-cb702d51/tfork-go/tfork"
)

// A filter cannot count, but who listens to one can (seccomp_unotify(2)): the
// kernel asks at each call, and the answer is "go on", or the errno.

// notification is struct seccomp_notif, verdict struct seccomp_notif_resp.
type notification struct {
	id         uint64
	pid, flags uint32
	call       int32
	arch       uint32
	_          uint64 // where
	args       [6]uint64
}

type verdict struct {
	id           uint64
	value        int64
	error, flags int32
}

// counter lets all calls through but one.
type counter struct {
	fault
	listener int
	fail     atomic.Int64 // how many calls there are until the one that fails; 0: none
	failed   atomic.Bool
}

// listen puts the calling thread, and what it starts, under the filter.
func (c *counter) listen() error {
	code := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0}, // the call's number
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 1, K: c.call},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_USER_NOTIF},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	fd, err := installListener(code, 0)
	c.listener = fd
	return err
}

// installListener puts the calling thread, or with TSYNC all, under a filter, and
// returns what it asks: close-on-exec by itself.
func installListener(code []unix.SockFilter, flags uintptr) (fd int, err error) {
	// The Go runtime signals a thread that runs for longer than 10 ms, and a signal
	// makes the call begin anew, and the question with it: where answers take that
	// long a program would get no further. Linux 5.19 can hold signals back.
	flags |= unix.SECCOMP_FILTER_FLAG_NEW_LISTENER
	fd, err = installFilter(code, flags|unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV)
	if err == unix.EINVAL {
		fd, err = installFilter(code, flags)
	}
	return fd, err
}

// nextQuestion waits for a call that the filter asks about.
func nextQuestion(listener int) (n notification) {
	for {
		n = notification{} // the kernel takes none that is not empty
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(listener), unix.SECCOMP_IOCTL_NOTIF_RECV, uintptr(unsafe.Pointer(&n)))
		switch errno {
		case 0:
			return n
		case unix.EINTR, unix.ENOENT: // who asked is gone
		default:
			panic(errno)
		}
	}
}

// giveVerdict answers; ENOENT is that who asked is gone, or will ask again.
func giveVerdict(listener int, a verdict) unix.Errno {
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(listener), unix.SECCOMP_IOCTL_NOTIF_SEND, uintptr(unsafe.Pointer(&a)))
	return errno
}

// serve answers, on a thread that is not under the filter.
func (c *counter) serve(listening chan bool) {
	runtime.LockOSThread()
	<-listening
	for {
		n := nextQuestion(c.listener)
		a, left := verdict{id: n.id, flags: unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE}, int64(-1)
		if c.fail.Load() > 0 && ours(&n) {
			left = c.fail.Add(-1)
		}
		if left == 0 {
			a.flags, a.error = 0, -int32(c.errno)
			c.failed.Store(true)
		}
		if giveVerdict(c.listener, a) == unix.ENOENT && left >= 0 && c.fail.CompareAndSwap(left, left+1) { // a signal came: it is asked again
			c.failed.Store(false)
		}
	}
}

// ours tells the calls of the caller and its waiter from those of the program that
// is the worker, and from those of syscall.ForkExec on its pipe: without reading
// that it takes a program that runs for one that has failed, and waits for its end.
func ours(n *notification) bool {
	proc := fmt.Sprintf("/proc/%d/", n.pid)
	if n.call == unix.SYS_READ {
		file, err := os.Readlink(fmt.Sprint(proc, "fd/", n.args[0]))
		if err != nil || strings.HasPrefix(file, "pipe:") {
			return false
		}
	}
	if n.call == unix.SYS_WRITE {
		file, _ := os.Readlink(fmt.Sprint(proc, "fd/", n.args[0]))
		return strings.Contains(file, "/cgroup.") // also of who joins its cgroup
	}
	comm := strings.TrimSpace(testutil.ReadFile(proc + "comm"))
	return comm != "sh" && comm != "cat"
}

// holdMainThread ties the goroutine to the process's main thread, whose filters
// are those that the waiter sees in its caller. Where it runs on another one the
// program begins anew.
func holdMainThread(helper string) error {
	runtime.LockOSThread()
	const key, most = "TFORK_TEST_AGAIN", 20
	tried, _ := strconv.Atoi(os.Getenv(key))
	switch {
	case unix.Gettid() == os.Getpid():
		return nil
	case tried == most:
		return errors.New("the main thread is not to be had")
	}
	return unix.Exec(testutil.ExeForAnyUser, os.Args, testutil.HelperEnv(helper, fmt.Sprint(key, "=", tried+1)))
}

const nthName = "nth call"

// nthCall makes the first call of one kind fail, then the second, and so on
// until a start has fewer.
var nthCall = testutil.Helper(nthName, func(args []string) int {
	if err := holdMainThread(nthName); err != nil {
		fmt.Println(err)
		return 3
	}
	// Just below underInit's, so that what each call left is named before.
	time.AfterFunc(helperTime()-patience, func() {
		debug.SetTraceback("all")
		panic("hangs")
	})
	debug.SetGCPercent(-1) // must not wait for a thread that waits for us
	// A thread that forks keeps its processor until the child has executed its
	// program; and that may be waiting for our verdict.
	runtime.GOMAXPROCS(max(2, runtime.GOMAXPROCS(0)))
	w, c := wayNamed(args[0]), &counter{fault: findFault(args[1])}
	try, groups := tries(args[2:])
	warmThreads()
	if err := works(w); err != nil {
		fmt.Println(err)
		return 1
	}
	tfork.CloseIdle()
	listening := make(chan bool)
	go c.serve(listening)
	if err := c.listen(); err != nil {
		fmt.Println("cannot listen:", err)
		return 3
	}
	listening <- true
	return c.allCalls(w, try, groups)
})

// failEachCall runs the helper. No signals of the runtime's own: see listen.
func failEachCall(t *testing.T, arg ...string) {
	t.Helper()
	t.Setenv("GODEBUG", "asyncpreemptoff=1")
	runHelper(t, nthCall, arg...)
}

// neverMade are pairs of a way and a call that its starts do not make here: who
// hears of the worker's end tells a waiter that served it alone to end, on a thread
// that is not under the filter.
var neverMade = [][2]string{{dedicated.name, "shutdown"}}

// allCalls runs on the thread under the filter.
func (c *counter) allCalls(w way, try func(way) string, groups string) (code int) {
	before := takeInventory(groups)
	for n := int64(1); n < 200; n++ {
		c.failed.Store(false)
		c.fail.Store(n)
		outcome := try(w)
		tfork.CloseIdle()
		c.fail.Store(0)
		if !c.failed.Load() {
			fmt.Printf("%s: %d calls\n", c.name, n-1)
			if n == 1 && !slices.Contains(neverMade, [2]string{w.name, c.name}) {
				fmt.Println("\tWRONG: it is never made")
				return 1
			}
			return code
		}
		fmt.Printf("%s %d: %v: %s\n", c.name, n, c.errno, outcome)
		if !c.survived(w, before, outcome) {
			code = 1
		}
		tfork.CloseIdle()
	}
	fmt.Println("too many calls")
	return 1
}

// TestFault_NthCall: each single call of a start and of its waiter, in the order
// in which they come. Those that come often and take long, or that others stand
// for, are left to the long form.
//
// Not among those of Direct is fcntl: that marking an open descriptor fails
// cannot be, and where it does the status is lost and a zombie stays.
func TestFault_NthCall(t *testing.T) {
	ofDirect := []string{"pipe2", "dup3", "epoll_ctl"}
	ofWaiter := []string{"pipe2", "dup3", "socketpair", "setsockopt", "sendmsg", "recvmsg", "waitid", "read"}
	if os.Getenv(longKey) != "" {
		ofDirect = append(ofDirect, "openat", "clone", "execve")
		ofWaiter = append(ofWaiter, "openat", "fcntl", "clone", "execve", "epoll_ctl", "pidfd_open", "getsockopt",
			"memfd_create", "prlimit64", "getdents64", "fchdir", "chdir", "pread64", "fstat", "newfstatat", "getrlimit",
			"shutdown", "unshare", "faccessat")
	}
	for _, w := range ourWays(t) {
		t.Run(w.name, func(t *testing.T) {
			forLong(t, w)
			calls := ofWaiter
			if w.name == direct.name {
				calls = ofDirect
			}
			for _, name := range calls {
				t.Run(name, func(t *testing.T) { failEachCall(t, w.name, name) })
			}
		})
	}
}
