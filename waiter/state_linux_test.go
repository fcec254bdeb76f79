// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package waiter

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/seed-cb702d51/tfork-go/internal/testutil"
)

// change is something that a caller does to itself after its waiter has been
// started, and that its workers must take over.
type change struct {
	name string
	root bool // needs root
	// renews tells whether it must lead to a new waiter.
	renews bool
	do     func(dir string) error // dir is private to root, or to the user
}

// allThreads makes a system call in every thread, as the C library does for
// what POSIX calls properties of a process.
func allThreads(trap, a1, a2, a3 uintptr) error {
	_, _, errno := syscall.AllThreadsSyscall(trap, a1, a2, a3)
	if errno == syscall.ENOTSUP {
		fmt.Println("a program with cgo (-race) cannot make a system call in all threads")
		os.Exit(cannot)
	}
	if errno != 0 {
		return errno
	}
	return nil
}

// cannot is the exit code of a helper that cannot do what it should.
const cannot = 77

// runHelper runs a test helper, and skips the test where it cannot do its part.
func runHelper(t *testing.T, c *exec.Cmd) {
	t.Helper()
	out, err := c.CombinedOutput()
	if c.ProcessState != nil && c.ProcessState.ExitCode() == cannot {
		t.Skipf("%s", out)
	}
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

const nobody = 65534

var changes = []change{
	{"nothing", false, false, func(string) error { return nil }},
	{"user", true, true, func(string) error { return syscall.Setuid(nobody) }},
	{"group", true, true, func(string) error { return syscall.Setgid(nobody) }},
	{"all ids", true, true, func(string) error { return dropToNobody() }},
	{"supplementary groups", true, true, func(string) error { return syscall.Setgroups([]int{1, 2, 3}) }},
	{"capability bounds", true, true, func(string) error {
		return allThreads(unix.SYS_PRCTL, unix.PR_CAPBSET_DROP, unix.CAP_SYS_TIME, 0)
	}},
	{"capabilities", true, true, func(string) error { return dropCapabilities() }},
	{"no_new_privs", false, true, func(string) error { return setNoNewPrivs() }},
	{"seccomp", false, true, func(string) error { return installSeccomp() }},
	{"session", false, true, func(string) error { _, err := unix.Setsid(); return err }},
	{"process group", false, true, func(string) error { return unix.Setpgid(0, 0) }},
	{"limit of files", false, true, func(string) error { return syscall.Setrlimit(unix.RLIMIT_NOFILE, &syscall.Rlimit{Cur: 200, Max: 300}) }},
	{"limit of core files", false, true, func(string) error { return unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{Cur: 0, Max: 0}) }},
	{"nice value", false, true, func(string) error { return allThreads(unix.SYS_SETPRIORITY, unix.PRIO_PROCESS, 0, 7) }},
	{"processors", false, true, func(string) error {
		needTold("Cpus_allowed")
		var set unix.CPUSet
		set.Set(0)
		return allThreads(unix.SYS_SCHED_SETAFFINITY, 0, unsafe.Sizeof(set), uintptr(unsafe.Pointer(&set)))
	}},
	{"umask", false, false, func(string) error { needTold("Umask"); unix.Umask(0o137); return nil }},
	{"ignored signals", false, true, func(string) error {
		needTold("SigIgn")
		signal.Ignore(unix.SIGTERM, unix.SIGPIPE, unix.SIGINT)
		return nil
	}},
	{"working directory", false, false, func(string) error { return os.Chdir("/usr") }},
	{"deleted working directory", false, false, func(dir string) error { return errors.Join(os.Chdir(dir), os.Remove(dir)) }},
	{"working directory that may not be searched", true, true, func(dir string) error {
		return errors.Join(os.Chdir(dir), dropToNobody())
	}},
}

func dropToNobody() error {
	return errors.Join(syscall.Setgroups(nil), syscall.Setgid(nobody), syscall.Setuid(nobody))
}

// needTold ends a helper where the kernel does not say this of a process: what it
// does not say of the caller, the waiter cannot know.
func needTold(key string) {
	if !testutil.Told(key) {
		fmt.Println("the kernel does not say it of a process:", key)
		os.Exit(cannot)
	}
}

func setNoNewPrivs() error {
	set, err := unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0)
	if err == nil && set == 1 {
		fmt.Println("no_new_privs is set already: there is nothing to give up")
		os.Exit(cannot)
	}
	return allThreads(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0)
}

// dropCapabilities gives up all but a few, and execve does not give them back.
func dropCapabilities() error {
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	data := [2]unix.CapUserData{{Effective: 1 << unix.CAP_SETPCAP, Permitted: 1 << unix.CAP_SETPCAP}}
	const noRootAndLocked = 0x3 // SECBIT_NOROOT and its lock
	err := allThreads(unix.SYS_PRCTL, unix.PR_SET_SECUREBITS, noRootAndLocked, 0)
	if err == unix.EINVAL {
		fmt.Println("this system has no securebits: execve gives root its capabilities back")
		os.Exit(cannot)
	}
	if err == nil {
		err = allThreads(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&head)), uintptr(unsafe.Pointer(&data)), 0)
	}
	return err
}

// installSeccomp installs a filter that allows everything, for all threads.
func installSeccomp() error {
	if err := allThreads(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0); err != nil {
		return err
	}
	filter := []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW}}
	prog := unix.SockFprog{Len: 1, Filter: &filter[0]}
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&prog)))
	runtime.KeepAlive(filter)
	if errno != 0 {
		return errno
	}
	return nil
}

// changing is a caller that starts a worker, changes itself, and compares
// workers by both roads.
var changing = testutil.Helper("caller that changes", func(args []string) int {
	if err := compareAfter(args[0], args[1]); err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
})

func compareAfter(name, dir string) error {
	var p Pool
	defer p.CloseIdle()
	_, before, err := describeWith(&p, nil)
	if err != nil {
		return err
	}
	var c change
	for _, c = range changes {
		if c.name == name {
			break
		}
	}
	if err := c.do(dir); err != nil {
		return fmt.Errorf("the change: %w", err)
	}
	got, after, err := describeWith(&p, nil)
	if err != nil {
		return fmt.Errorf("through the waiter: %w", err)
	}
	want, err := describeDirect(nil)
	if err != nil {
		return fmt.Errorf("by os/exec: %w", err)
	}
	if diff := cmp.Diff(want.takenOver(), got.takenOver()); diff != "" {
		return fmt.Errorf("os/exec's worker and the waiter's differ (-want +got):\n%s", diff)
	}
	if renewed := before.WaiterPid() != after.WaiterPid(); renewed != c.renews {
		return fmt.Errorf("new waiter: %v, want %v", renewed, c.renews)
	}
	return sameIgnored(&p)
}

// sameIgnored compares what a shell by both roads has ignored.
func sameIgnored(p *Pool) error {
	if !testutil.Told("SigIgn") {
		return nil
	}
	const script = "grep SigIgn /proc/self/status"
	got, err := shellOutput(p, script, nil)
	if err != nil {
		return err
	}
	want, err := exec.Command("/bin/sh", "-c", script).Output()
	if err != nil {
		return err
	}
	if got != strings.TrimSpace(string(want)) {
		return fmt.Errorf("ignored signals: %s, want %s", got, want)
	}
	return nil
}

// TestSpawn_WorkerTakesOverTheCallersState changes a caller in every way that
// its workers should notice, and takes os/exec's worker as the truth.
func TestSpawn_WorkerTakesOverTheCallersState(t *testing.T) {
	exe := readableExe(t)
	for _, c := range changes {
		t.Run(c.name, func(t *testing.T) {
			if c.root && os.Getuid() != 0 {
				t.Skip("only root can do that to itself")
			}
			if c.name == "processors" && runtime.NumCPU() == 1 {
				t.Skip("there is one processor only")
			}
			t.Parallel()
			cmd := exec.Command(exe, c.name, t.TempDir())
			cmd.Env = testutil.HelperEnv(changing)
			runHelper(t, cmd)
		})
	}
}

// readableExe is a copy of the test binary where every user can execute it.
func readableExe(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "waiter-exe")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	os.Chmod(dir, 0o755)
	exe := filepath.Join(dir, "waiter.test")
	b, err := os.ReadFile(testutil.Exe())
	if err == nil {
		err = os.WriteFile(exe, b, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	return exe
}
