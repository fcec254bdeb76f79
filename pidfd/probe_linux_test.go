// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package pidfd

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/seed-cb702d51/tfork-go/internal/testutil"
)

// TestFeatures_KernelIsNewEnough: the versions decide nothing, but a probe that
// says no on a kernel that has the feature is wrong.
func TestFeatures_KernelIsNewEnough(t *testing.T) {
	for _, f := range Features() {
		t.Run(f.Name, func(t *testing.T) {
			testutil.NeedFeature(t, strings.TrimPrefix(f.Since, "Linux "), f.Have)
		})
	}
	if err := HaveSet(); err != nil {
		testutil.NeedFeature(t, "5.4", HaveSet)
	}
}

// TestFeatures_TooOldAKernel is the reverse: no probe may say yes before the
// kernel that brought the feature.
func TestFeatures_TooOldAKernel(t *testing.T) {
	needSet(t) // gVisor calls itself Linux 4.4, and is something else
	for _, f := range Features() {
		// Backports are possible in principle; none of these is known to have one.
		if !testutil.KernelAtLeast(strings.TrimPrefix(f.Since, "Linux ")) && f.Have() == nil {
			t.Errorf("%s is said to work before %s", f.Name, f.Since)
		}
	}
}

// probes asks everything and says each answer on a line of its own.
var probes = testutil.Helper("probes", func(args []string) int {
	if len(args) > 0 {
		var errno int
		fmt.Sscan(args[0], &errno)
		if err := filter(syscall.Errno(errno)); err != nil {
			fmt.Println("filter:", err)
			return 1
		}
	}
	for _, f := range Features() {
		err := f.Have()
		fmt.Printf("%s=%v/%v\n", f.Name, err == nil, errors.Is(err, ErrNotSupported))
	}
	_, openErr := Open(os.Getpid())
	_, newErr := New(-1)
	fmt.Printf("Open=%v/%v\n", openErr == nil, errors.Is(openErr, ErrNotSupported))
	fmt.Printf("New=%v/%v\n", newErr == nil, errors.Is(newErr, ErrNotSupported))
	return 0
})

// filter makes every call of the pidfd family, clone3 and close_range answer
// errno, in all threads.
func filter(errno syscall.Errno) error {
	calls := []uint32{
		unix.SYS_PIDFD_SEND_SIGNAL, unix.SYS_PIDFD_OPEN, unix.SYS_CLONE3, unix.SYS_CLOSE_RANGE, unix.SYS_PIDFD_GETFD,
	}
	program := []unix.SockFilter{{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS}}
	for i, call := range calls {
		program = append(program, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jt: uint8(len(calls) - i), K: call})
	}
	program = append(program,
		unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
		unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(errno)})
	prog := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	_, _, e := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&prog)))
	runtime.KeepAlive(program)
	if e != 0 {
		return e
	}
	return nil
}

// TestFeatures_Sandboxed: a filter that answers ENOSYS, or EPERM as old
// container profiles do, makes everything absent for sure.
func TestFeatures_Sandboxed(t *testing.T) {
	for _, errno := range []syscall.Errno{unix.ENOSYS, unix.EPERM} {
		t.Run(unix.ErrnoName(errno), func(t *testing.T) {
			c := exec.Command(testutil.Exe(), fmt.Sprint(int(errno)))
			c.Env = testutil.HelperEnv(probes)
			out, err := c.CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			lines := strings.Fields(strings.ReplaceAll(strings.TrimSpace(string(out)), " ", "_"))
			if len(lines) != len(Features())+2 {
				t.Errorf("%d answers: %s", len(lines), out)
			}
			for _, line := range lines {
				if !strings.HasSuffix(line, "=false/true") {
					t.Errorf("%s, want a sure no", line)
				}
			}
		})
	}
}

// unseen asks everything in a process that would notice a child of the probes.
var unseen = testutil.Helper("probes unseen", func([]string) int {
	// The standard library's own check is not ours to count; it goes first.
	if _, err := os.FindProcess(os.Getpid()); err != nil {
		return 1
	}
	seen := make(chan os.Signal, 16)
	signal.Notify(seen, unix.SIGCHLD)
	fds := len(testutil.FDs())
	for _, f := range Features() {
		f.Have()
	}
	// Blocks if there is a child, and takes it if there was one.
	if _, err := unix.Wait4(-1, nil, unix.WALL, nil); err != unix.ECHILD {
		fmt.Println("a child was there:", err)
		return 1
	}
	if now := len(testutil.FDs()); now != fds {
		fmt.Println("descriptors:", fds, "before,", now, "after")
		return 1
	}
	signal.Stop(seen)
	if len(seen) > 0 {
		fmt.Println("SIGCHLD")
		return 1
	}
	return 0
})

func TestFeatures_NobodyNotices(t *testing.T) {
	c := exec.Command(testutil.Exe())
	c.Env = testutil.HelperEnv(unseen)
	if out, err := c.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestHangup_SparesThreadsWithChildren: a child that asked for a signal at the
// death of the thread that started it must not get it from a probe.
func TestHangup_SparesThreadsWithChildren(t *testing.T) {
	needSet(t)
	var started sync.WaitGroup
	var children []*child
	var mu sync.Mutex
	for range 16 {
		started.Go(func() {
			fd := -1
			pid, err := syscall.ForkExec("/bin/sleep", []string{"sleep", "1000"}, &syscall.ProcAttr{
				Sys: &syscall.SysProcAttr{PidFD: &fd, Pdeathsig: unix.SIGTERM},
			})
			if err != nil {
				t.Error(err)
				return
			}
			f, err := New(fd)
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			children = append(children, &child{FD: f, pid: pid})
		})
	}
	started.Wait()
	for range 8 {
		if err := testHangup(); err != nil && !errors.Is(err, errors.ErrUnsupported) && HaveThread() == nil {
			t.Error(err)
		}
	}
	for _, c := range children {
		if exit, err := c.TryWait(); err != ErrRunning {
			t.Errorf("a child is gone: %v, %v", exit, err)
		}
		c.Signal(unix.SIGKILL)
		c.Wait(soon(t))
		c.Close()
	}
}

// starved asks for a descriptor when there is none, and again afterwards.
var starved = testutil.Helper("probe without descriptors", func([]string) int {
	limit := unix.Rlimit{Cur: 0}
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 1
	}
	few := limit
	few.Cur = 3
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &few); err != nil {
		return 1
	}
	for _, have := range []func() error{HaveOpen, HaveSet, HaveThread, HaveExitInfo} {
		if err := have(); !errors.Is(err, unix.EMFILE) || errors.Is(err, ErrNotSupported) {
			fmt.Println("without descriptors:", err)
			return 1
		}
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 1
	}
	if err := HaveOpen(); err != nil {
		fmt.Println("with descriptors:", err)
		return 1
	}
	return 0
})

func TestHave_CouldNotTellIsAskedAgain(t *testing.T) {
	testutil.NeedFeature(t, "6.15", HaveExitInfo)
	c := exec.Command(testutil.Exe())
	c.Env = testutil.HelperEnv(starved)
	if out, err := c.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// firstOne makes the first FD of a process, which has room for a few descriptors
// only. The Go runtime, which opens its network poller for it, ends the process
// where it cannot.
var firstOne = testutil.Helper("first one without descriptors", func(args []string) int {
	room, _ := strconv.Atoi(args[0])
	var limit unix.Rlimit
	unix.Getrlimit(unix.RLIMIT_NOFILE, &limit)
	before := testutil.FDs()
	unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: uint64(3 + room), Max: limit.Max})
	f, err := Open(os.Getpid())
	unix.Setrlimit(unix.RLIMIT_NOFILE, &limit)
	if errors.Is(err, unix.EMFILE) {
		fmt.Println(err)
		if after := testutil.FDs(); len(after) != len(before) {
			fmt.Println("open after the error:", after, "before:", before)
			return 1
		}
		f, err = Open(os.Getpid())
	}
	if err == nil {
		_, err = f.TryWait()
	}
	if err != ErrRunning {
		fmt.Println("the next one:", err)
		return 1
	}
	return 0
})

func TestOpen_FirstOneWithoutDescriptors(t *testing.T) {
	needSet(t)
	var told string
	for room := range 40 {
		c := exec.Command(testutil.Exe(), strconv.Itoa(room))
		c.Env = testutil.HelperEnv(firstOne)
		out, err := c.CombinedOutput()
		if err != nil {
			t.Errorf("room for %d: %v\n%s", room, err, out)
		}
		if len(out) == 0 {
			break // there were enough
		}
		told += string(out)
	}
	for _, what := range []string{"pidfd_open", "epoll_create1", "eventfd"} {
		if !strings.Contains(told, what) {
			t.Errorf("%s never lacked a descriptor: the test proves less than it says; told was\n%s", what, told)
		}
	}
}
