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

	"golang.org/x/sys/unix"

	"github.com/seed-cb702d51/tfork-go/internal/role"
	"github.com/seed-cb702d51/tfork-go/internal/testutil"
	"github.com/seed-cb702d51/tfork-go/internal/wire"
)

// exitCode runs a process to its end.
func exitCode(t testing.TB, c *exec.Cmd) int {
	t.Helper()
	err := c.Run()
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
			c := forged(t, exe)
			c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
			if code := exitCode(t, c); code != role.ExitRefused {
				t.Errorf("exit code %d, want %d", code, role.ExitRefused)
			}
		})
	}
}

// TestServe_RefusesAStranger plays the role for a process that is not the
// parent: a shell is between.
func TestServe_RefusesAStranger(t *testing.T) {
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

// rawWaiter is a waiter at whose socket the test says what it likes.
type rawWaiter struct {
	fd   int
	proc *os.Process
}

func startRaw(t testing.TB) *rawWaiter {
	t.Helper()
	proc, ours, err := startWaiter()
	if err != nil {
		t.Fatal(err)
	}
	w := &rawWaiter{fd: fdOf(ours), proc: proc}
	t.Cleanup(func() {
		ours.Close()
		proc.Wait()
	})
	return w
}

// end waits for the waiter's end and returns its exit code.
func (w *rawWaiter) end(t testing.TB) int {
	t.Helper()
	state, err := w.proc.Wait()
	if err != nil {
		t.Fatal(err)
	}
	return state.ExitCode()
}

// tinyRequest asks for a worker that exits at once.
func tinyRequest(t testing.TB) wire.Request {
	return wire.Request{Path: testutil.Tiny(t, 0), Args: []string{"tiny"}, Dir: "/", Slots: []bool{true}}
}

// spawnMessage is a whole request with its body inside.
func spawnMessage(q *wire.Request, id uint64, files int) []byte {
	body := q.Append(nil)
	return append(wire.Envelope{Files: uint32(files), Body: uint32(len(body))}.Append(nil, id), body...)
}

// hostile are messages that no caller of ours sends. Each ends the waiter.
var hostile = []struct {
	name string
	send func(t testing.TB, w *rawWaiter)
}{
	{"nothing but noise", func(t testing.TB, w *rawWaiter) { w.send([]byte("GET / HTTP/1.0\r\n\r\n")) }},
	{"a cut header", func(t testing.TB, w *rawWaiter) { w.send(wire.AppendReady(nil)[:7]) }},
	{"a cut request", func(t testing.TB, w *rawWaiter) {
		q := tinyRequest(t)
		w.send(spawnMessage(&q, 1, 1)[:60], 0)
	}},
	{"another version", func(t testing.TB, w *rawWaiter) {
		q := tinyRequest(t)
		msg := spawnMessage(&q, 1, 1)
		msg[0]++
		w.send(msg, 0)
	}},
	{"an answer", func(t testing.TB, w *rawWaiter) { w.send(wire.StartedInfo{Pid: 1}.Append(nil, 1)) }},
	{"an oversized message", func(t testing.TB, w *rawWaiter) { w.send(make([]byte, wire.MaxMessage+1)) }},
	{"an oversized body", func(t testing.TB, w *rawWaiter) {
		w.send(wire.Envelope{Carrier: wire.BodyInMemfd, Body: wire.MaxBody + 1}.Append(nil, 1), 0)
	}},
	{"descriptors with a signal", func(t testing.TB, w *rawWaiter) { w.send(wire.SignalInfo{Worker: 1}.Append(nil, 1), 0) }},
	{"too few descriptors", func(t testing.TB, w *rawWaiter) {
		q := tinyRequest(t)
		w.send(spawnMessage(&q, 1, 1))
	}},
	{"too many descriptors", func(t testing.TB, w *rawWaiter) {
		q := tinyRequest(t)
		w.send(spawnMessage(&q, 1, 1), 0, 0)
	}},
	{"more descriptors than slots", func(t testing.TB, w *rawWaiter) {
		q := tinyRequest(t)
		w.send(spawnMessage(&q, 1, 2), 0, 0)
	}},
	{"no memfd", func(t testing.TB, w *rawWaiter) {
		w.send(wire.Envelope{Carrier: wire.BodyInMemfd, Body: 100}.Append(nil, 1))
	}},
	{"a pipe for a memfd", func(t testing.TB, w *rawWaiter) {
		var p [2]int
		unix.Pipe2(p[:], unix.O_CLOEXEC)
		defer closeAll(p[:])
		w.send(wire.Envelope{Carrier: wire.BodyInMemfd, Body: 100}.Append(nil, 1), p[0])
	}},
	{"a memfd that is not sealed", func(t testing.TB, w *rawWaiter) {
		fd, _ := unix.MemfdCreate("x", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
		defer unix.Close(fd)
		unix.Write(fd, make([]byte, 100))
		w.send(wire.Envelope{Carrier: wire.BodyInMemfd, Body: 100}.Append(nil, 1), fd)
	}},
	{"a memfd of another size", func(t testing.TB, w *rawWaiter) {
		fd, err := bodyMemfd(make([]byte, 100))
		if err != nil {
			t.Skip(err)
		}
		defer unix.Close(fd)
		w.send(wire.Envelope{Carrier: wire.BodyInMemfd, Body: 5000}.Append(nil, 1), fd)
	}},
	{"an empty socket of files", func(t testing.TB, w *rawWaiter) { sendSide(t, w, 2) }},
	{"too few files in the socket", func(t testing.TB, w *rawWaiter) { sendSide(t, w, 3, 0, 0) }},
	{"too many files in the socket", func(t testing.TB, w *rawWaiter) { sendSide(t, w, 1, 0, 0) }},
	{"no socket of files", func(t testing.TB, w *rawWaiter) {
		w.send(wire.Envelope{Carrier: wire.FilesInSocket, Files: 1}.Append(nil, 1))
	}},
	{"flags of the future", func(t testing.TB, w *rawWaiter) {
		q := tinyRequest(t)
		q.Flags = 1 << 30
		w.send(spawnMessage(&q, 1, 1), 0)
	}},
	{"shared files", func(t testing.TB, w *rawWaiter) {
		q := tinyRequest(t)
		q.Cloneflags = unix.CLONE_FILES
		w.send(spawnMessage(&q, 1, 1), 0)
	}},
	{"the same request again", func(t testing.TB, w *rawWaiter) {
		var p [2]int
		unix.Pipe2(p[:], unix.O_CLOEXEC)
		t.Cleanup(func() { closeAll(p[:]) }) // the worker runs until then
		q := wire.Request{Path: "/bin/cat", Args: []string{"cat"}, Dir: "/", Slots: []bool{true}}
		msg := spawnMessage(&q, 1, 1)
		w.send(msg, p[0])
		w.send(msg, p[0])
	}},
	{"a message from somebody else", func(t testing.TB, w *rawWaiter) {
		c := exec.Command(testutil.Exe())
		c.Env = testutil.HelperEnv(intruder)
		f := os.NewFile(uintptr(dup(t, w.fd)), "waiter's socket")
		defer f.Close()
		c.ExtraFiles = []*os.File{f}
		if out, err := c.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
	}},
}

// intruder has got hold of the caller's end of the socket, at descriptor 3.
var intruder = testutil.Helper("intruder", func([]string) int {
	q := wire.Request{Path: "/bin/true", Args: []string{"true"}, Dir: "/", Slots: []bool{true}}
	if err := (&rawWaiter{fd: 3}).send(spawnMessage(&q, 1, 1), 1); err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
})

func dup(t testing.TB, fd int) int {
	n, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// sendSide sends a request for n files, of which fds are in the side socket.
func sendSide(t testing.TB, w *rawWaiter, n int, fds ...int) {
	side, err := sideSocket(fds)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(side)
	q := tinyRequest(t)
	q.Slots = make([]bool, n)
	for i := range q.Slots {
		q.Slots[i] = true
	}
	body := q.Append(nil)
	w.send(append(wire.Envelope{Carrier: wire.FilesInSocket, Files: uint32(n), Body: uint32(len(body))}.Append(nil, 1), body...), side)
}

func (w *rawWaiter) send(msg []byte, fds ...int) error {
	var oob []byte
	if len(fds) > 0 {
		oob = unix.UnixRights(fds...)
	}
	return sendmsg(w.fd, msg, oob, 0)
}

func TestServe_HostileMessagesEndIt(t *testing.T) {
	for _, h := range hostile {
		t.Run(h.name, func(t *testing.T) {
			w := startRaw(t)
			h.send(t, w)
			if code := w.end(t); code != exitProtocol {
				t.Errorf("the waiter ended with %d, want %d", code, exitProtocol)
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
	q, err := encode(shell("touch /tmp/escaped; kill -9 $PPID"))
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
	var files []uintptr
	for range 120 {
		files = append(files, 1)
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
	if n := len(testutil.FDsOf(w.WaiterPid())); n != 4 {
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
	if w.pidfd >= 0 {
		unix.PidfdSendSignal(w.pidfd, unix.SIGKILL, nil, 0)
	}
	within(t, w.Worker)
	if strings.TrimSpace(string(environ)) == "" {
		t.Error("the test reads nothing")
	}
}
