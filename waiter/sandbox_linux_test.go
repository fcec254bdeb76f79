// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package waiter

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/seed-cb702d51/tfork-go/internal/testutil"
	"github.com/seed-cb702d51/tfork-go/internal/wire"
)

// forbid makes system calls fail, in all threads of this process and in
// everything that it starts.
func forbid(errno syscall.Errno, calls ...uint32) error {
	var rules []unix.SockFilter
	for _, nr := range calls {
		rules = append(rules,
			unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 1, K: nr},
			unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(errno)})
	}
	return filter(rules)
}

// forbidExecutableMemory is Linux 6.3 with vm.memfd_noexec=2.
func forbidExecutableMemory() error {
	const flags = 16 + 8 // in struct seccomp_data (linux/seccomp.h), the low half
	return filter([]unix.SockFilter{
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 3, K: unix.SYS_MEMFD_CREATE},
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: flags},
		{Code: unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K, Jt: 1, K: unix.MFD_NOEXEC_SEAL},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(unix.EACCES)},
	})
}

// filter puts all threads under rules for the number of a call.
func filter(rules []unix.SockFilter) error {
	if err := allThreads(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0); err != nil {
		return err
	}
	all := append([]unix.SockFilter{{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS}}, rules...) // the number
	all = append(all, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW})
	prog := unix.SockFprog{Len: uint16(len(all)), Filter: &all[0]}
	_, _, e := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&prog)))
	runtime.KeepAlive(all)
	if e != 0 {
		return e
	}
	return nil
}

// sandboxed is a caller on a system that has less: no pidfds (before Linux
// 5.3), or no working directory for each thread.
var sandboxed = testutil.Helper("caller in a sandbox", func(args []string) int {
	errno, calls := unix.ENOSYS, []uint32{unix.SYS_PIDFD_OPEN, unix.SYS_PIDFD_SEND_SIGNAL, unix.SYS_CLONE3}
	if args[0] == "one thread" {
		errno, calls = unix.EPERM, []uint32{unix.SYS_UNSHARE}
	}
	err := forbid(errno, calls...)
	if err == nil {
		err = useSandboxed(args[0] == "one thread" && havePidFD() == nil)
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
})

func useSandboxed(pidfds bool) error {
	var p Pool
	defer p.CloseIdle()
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
		return err
	}
	user := 7
	r := shell("read x")
	r.Files[0] = uintptr(pipe[0])
	r.Sys = &syscall.SysProcAttr{PidFD: &user}
	held, err := p.Spawn(r)
	if err != nil {
		return err
	}
	if _, ok := held.TakePidFD(); ok != pidfds || (user >= 0) != pidfds {
		return fmt.Errorf("pidfd: %v and %d, want %v", ok, user, pidfds)
	}
	if err := manyHere(&p); err != nil {
		return err
	}
	if err := held.Signal(unix.SIGTERM); err != nil {
		return err
	}
	if status, _, err := held.Result(); err != nil || status != syscall.WaitStatus(unix.SIGTERM) {
		return fmt.Errorf("status %#x, %w", int(status), err)
	}
	if err := held.Signal(unix.SIGTERM); !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("a signal after the end: %w", err)
	}
	return nil
}

// manyHere starts workers from several goroutines, in one directory after the
// other.
func manyHere(p *Pool) error {
	for _, dir := range []string{"/usr", "/tmp"} {
		if err := os.Chdir(dir); err != nil {
			return err
		}
		var wg sync.WaitGroup
		errs := make(chan error, 8)
		for range cap(errs) {
			wg.Go(func() {
				if got, err := shellOutput(p, "pwd", nil); err != nil || got != dir {
					errs <- fmt.Errorf("in %s, want %s: %v", got, dir, err)
				}
			})
		}
		wg.Wait()
		select {
		case err := <-errs:
			return err
		default:
		}
	}
	return nil
}

func TestSpawn_OnASystemThatHasLess(t *testing.T) {
	for _, less := range []string{"no pidfds", "one thread"} {
		t.Run(less, func(t *testing.T) {
			c := exec.Command(testutil.Exe(), less)
			c.Env = testutil.HelperEnv(sandboxed)
			runHelper(t, c)
		})
	}
}

// noExecutableMemory is a caller whose request is too large for one message.
var noExecutableMemory = testutil.Helper("caller without executable memory files", func([]string) int {
	fd, err := unix.MemfdCreate("probe", unix.MFD_CLOEXEC|unix.MFD_NOEXEC_SEAL)
	if err != nil {
		fmt.Println("no memory file that cannot be executed:", err)
		return cannot
	}
	unix.Close(fd)
	if err := forbidExecutableMemory(); err != nil {
		fmt.Println(err)
		return 1
	}
	var p Pool
	defer p.CloseIdle()
	const script = "exit 7 #"
	w, err := p.Spawn(shell(script + strings.Repeat("x", wire.MaxInline)))
	if err != nil {
		fmt.Println(err)
		return 1
	}
	if status, _, err := w.Result(); err != nil || status.ExitStatus() != 7 {
		fmt.Printf("status %#x, %v\n", int(status), err)
		return 1
	}
	return 0
})

func TestSpawn_NoExecutableMemoryFiles(t *testing.T) {
	c := exec.Command(testutil.Exe())
	c.Env = testutil.HelperEnv(noExecutableMemory)
	runHelper(t, c)
}
