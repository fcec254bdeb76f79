// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package waiter

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-cb702d51/tfork-go/internal/role"
	"github.com/seed-cb702d51/tfork-go/internal/testutil"
)

// exitCode runs a process to its end, which must come soon: one that serves
// would go on for ever.
func exitCode(t testing.TB, c *exec.Cmd) int {
	t.Helper()
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	overdue := time.AfterFunc(testutil.Scaled(soon), func() {
		t.Errorf("%s still runs after %v", c, soon)
		c.Process.Kill()
	})
	defer overdue.Stop()
	err := c.Wait()
	var ee *exec.ExitError
	if err != nil && !errors.As(err, &ee) {
		t.Fatal(err)
	}
	return c.ProcessState.ExitCode()
}

// forged is a command that plays the waiter with a socket of our making.
func forged(t testing.TB, exe string) *exec.Cmd {
	ours, theirs, err := socketPair()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ours.Close(); theirs.Close() })
	c := exec.Command(exe)
	c.Env = []string{role.Role{Kind: role.Waiter, FD: 3}.Marker(), "GORACE=atexit_sleep_ms=0"}
	c.ExtraFiles = []*os.File{theirs}
	return c
}

// TestServe_RefusesPrivilegedExecution plays a forged role in a copy of this
// program that is set-uid root, set-gid or has file capabilities.
func TestServe_RefusesPrivilegedExecution(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can make such a file")
	}
	tests := map[string]func(exe string) error{
		"set-uid": func(exe string) error { return os.Chmod(exe, 0o755|os.ModeSetuid) },
		"set-gid": func(exe string) error { return os.Chmod(exe, 0o755|os.ModeSetgid) },
		"file capabilities": func(exe string) error {
			// struct vfs_ns_cap_data, revision 2: cap_net_raw+ep
			return unix.Setxattr(exe, "security.capability", []byte{1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 0)
		},
	}
	for name, prepare := range tests {
		t.Run(name, func(t *testing.T) {
			exe := readableExe(t)
			if err := prepare(exe); err != nil {
				t.Skipf("the file system does not take it: %v", err)
			}
			testutil.NeedPrivilegedExec(t, exe)
			c := forged(t, exe)
			c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
			if code := exitCode(t, c); code != role.ExitRefused {
				t.Errorf("exit code %d, want %d", code, role.ExitRefused)
			}
		})
	}
}

// TestServe_RefusesAStranger plays the role for a process that is not the
// parent: a shell is between. (Where nobody says who made the socket the waiter
// hears that from the first message: see [hostile].)
func TestServe_RefusesAStranger(t *testing.T) {
	testutil.NeedPeerCredentials(t)
	c := forged(t, "/bin/sh")
	c.Args = []string{"sh", "-c", `"$0" & wait $!`, testutil.Exe()}
	if code := exitCode(t, c); code != role.ExitRefused {
		t.Errorf("exit code %d, want %d", code, role.ExitRefused)
	}
}

func TestServe_RefusesWhatIsNoSocketOfOurs(t *testing.T) {
	tests := map[string]func() *os.File{
		"a file": func() *os.File { f, _ := os.Open(os.DevNull); return f },
		"a stream": func() *os.File {
			fds, _ := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
			unix.Close(fds[0])
			return os.NewFile(uintptr(fds[1]), "stream")
		},
	}
	for name, open := range tests {
		t.Run(name, func(t *testing.T) {
			c := forged(t, testutil.Exe())
			f := open()
			defer f.Close()
			c.ExtraFiles = []*os.File{f}
			if code := exitCode(t, c); code != role.ExitRefused {
				t.Errorf("exit code %d, want %d", code, role.ExitRefused)
			}
		})
	}
}

// dropper is a caller that drops root and then tries, by hand, what the Pool
// would not do: to use the waiter that still is root.
var dropper = testutil.Helper("caller that drops root", func(args []string) int {
	if err := dropAndAsk(args[0]); err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
})

func dropAndAsk(how string) error {
	var p Pool
	defer p.CloseIdle()
	var pipe [2]int // its other end is closed when this process ends
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
		return err
	}
	r := shell("read x")
	r.Files[0] = uintptr(pipe[0])
	held, err := p.Spawn(r)
	if err != nil {
		return err
	}
	old := p.shared
	i := 0
	for ; changes[i].name != how; i++ {
	}
	if err := changes[i].do("/"); err != nil {
		return err
	}
	q, err := encode(shell("exit 0"))
	if err != nil {
		return err
	}
	defer q.close()
	if _, err := old.spawn(q); err != errStale {
		return fmt.Errorf("the old waiter answers %v, want %v", err, errStale)
	}
	root := shell("exit 0")
	root.Sys = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 0, Gid: 0}}
	if _, err := p.Spawn(root); how == "all ids" && err != syscall.EPERM {
		return fmt.Errorf("a worker of root's: %v, want EPERM", err)
	}
	if err := held.Signal(unix.SIGKILL); how == "all ids" && !errors.Is(err, unix.EPERM) {
		return fmt.Errorf("a signal to a worker of root's: %v, want EPERM", err)
	}
	return nil
}

func TestServe_CallerThatDroppedItsRights(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root has rights to drop")
	}
	for _, how := range []string{"all ids", "user", "supplementary groups", "capability bounds", "capabilities", "no_new_privs", "seccomp"} {
		t.Run(how, func(t *testing.T) {
			c := exec.Command(readableExe(t), how)
			c.Env = testutil.HelperEnv(dropper)
			runHelper(t, c)
		})
	}
}

// chrooter is a caller that shuts itself in.
var chrooter = testutil.Helper("caller that shuts itself in", func(args []string) int {
	var p Pool
	w, err := p.Spawn(shell("exit 0"))
	if err == nil {
		_, _, err = w.Result()
	}
	if err == nil {
		err = errors.Join(unix.Chroot(args[0]), os.Chdir("/"))
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	if _, err := p.Spawn(shell("exit 0")); err == nil {
		fmt.Println("the worker is outside")
		return 1
	}
	return 0
})

func TestServe_CallerThatShutItselfIn(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root may chroot")
	}
	c := exec.Command(testutil.Exe(), t.TempDir())
	c.Env = testutil.HelperEnv(chrooter)
	runHelper(t, c)
}

// TestServe_FullTable asks for more descriptors than the waiter may have.
func TestServe_FullTable(t *testing.T) {
	c := exec.Command(testutil.Exe())
	c.Env = testutil.HelperEnv(fullTable)
	runHelper(t, c)
}

var fullTable = testutil.Helper("caller whose waiter has no room", func([]string) int {
	// The waiter inherits the limit; what the caller has open already stays.
	null, err := os.Open(os.DevNull)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	defer null.Close()
	var files []uintptr
	for range 120 {
		files = append(files, uintptr(fdOf(null)))
	}
	if err := syscall.Setrlimit(unix.RLIMIT_NOFILE, &syscall.Rlimit{Cur: 64, Max: 64}); err != nil {
		fmt.Println(err)
		return 1
	}
	var p Pool
	defer p.CloseIdle()
	r := shell("exit 0")
	r.Files = files
	if _, err := p.Spawn(r); err != syscall.EMFILE {
		fmt.Printf("%v, want EMFILE\n", err)
		return 1
	}
	w, err := p.Spawn(shell("exit 0"))
	if err != nil {
		fmt.Println(err)
		return 1
	}
	w.Result()
	if n := len(testutil.FDsOf(w.WaiterPid())); n != len(ownFDs) {
		fmt.Printf("%d descriptors are left in the waiter\n", n)
		return 1
	}
	return 0
})

// TestServe_NothingOfTheCaller looks for what a waiter must not hold.
func TestServe_NothingOfTheCaller(t *testing.T) {
	t.Setenv("WAITER_TEST_SECRET", "hidden")
	p := newPool(t)
	w := spawnLive(t, p, nil)
	environ, err := os.ReadFile("/proc/" + strconv.Itoa(w.WaiterPid()) + "/environ")
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(environ, []byte("hidden")) {
		t.Error("the waiter has the caller's environment")
	}
	tasks, _ := os.ReadDir("/proc/" + strconv.Itoa(w.WaiterPid()) + "/task")
	for _, task := range tasks {
		testutil.Poll(t, soon, "no thread holds the working directory", func() bool {
			cwd, err := os.Readlink("/proc/" + strconv.Itoa(w.WaiterPid()) + "/task/" + task.Name() + "/cwd")
			return cwd == "/" || err != nil
		})
	}
	checkWaiterFDs(t, w.WaiterPid())
	w.Signal(unix.SIGKILL)
	within(t, w.Worker)
	if strings.TrimSpace(string(environ)) == "" {
		t.Error("the test reads nothing")
	}
}
