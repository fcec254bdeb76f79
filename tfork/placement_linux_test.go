// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package tfork

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/seed-cb702d51/tfork-go/internal/cgroupfs"
	"github.com/seed-cb702d51/tfork-go/internal/sandbox"
	"github.com/seed-cb702d51/tfork-go/internal/testutil"
	"github.com/seed-cb702d51/tfork-go/pidfd"
)

func openDir(t *testing.T, path string) *os.File {
	t.Helper()
	dir, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dir.Close() })
	return dir
}

// ownCgroup is the first thing that a placed worker reports.
const ownCgroup = `sed -n s/^0:://p /proc/self/cgroup`

var funcOwnCgroup = testFunc("own cgroup", func(*Worker) int {
	fmt.Print(cgroupOf("self"))
	return 0
})

func cgroupOf(pid string) string {
	_, rest, _ := strings.Cut("\n"+testutil.ReadFile("/proc/"+pid+"/cgroup"), "\n0::")
	line, _, _ := strings.Cut(rest, "\n")
	return line
}

// checkPlaced starts a program and a function in a cgroup of their own.
func checkPlaced(t *testing.T, m mode, want Placement) {
	path := testutil.Cgroup(t)
	dir := openDir(t, path)
	for name, c := range map[string]*Cmd{
		"program":  m.command("/bin/sh", "-c", ownCgroup),
		"function": m.function(funcOwnCgroup),
	} {
		c.Cgroup = dir
		out, err := c.Output()
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := strings.TrimSpace(string(out)); filepath.Base(got) != filepath.Base(path) {
			t.Errorf("%s began in %q, want %q", name, got, filepath.Base(path))
		}
		if got := c.Process.Placement(); got != want {
			t.Errorf("%s: placement %v, want %v", name, got, want)
		}
		if c.ProcessState.Status().OOMKilled() {
			t.Errorf("%s: OOM-killed", name)
		}
	}
	if rest := testutil.ReadFile(path + "/cgroup.procs"); rest != "" {
		t.Errorf("left in the cgroup: %q", rest)
	}
}

// TestCgroup_Placement: born inside where the kernel lets us, else joined.
func TestCgroup_Placement(t *testing.T) {
	want := PlacedBorn
	if pidfd.HaveIntoCgroup() != nil {
		want = PlacedJoined
	}
	forEachStrategy(t, func(t *testing.T, m mode) { checkPlaced(t, m, want) })
}

var helperSandbox = testutil.Helper("under profile", func(args []string) int {
	env := testutil.HelperEnv("no helper") // and take it out again: this is the test binary once more
	os.Clearenv()
	for _, kv := range env {
		if k, v, _ := strings.Cut(kv, "="); k != "TFORK_TEST_HELPER" {
			os.Setenv(k, v)
		}
	}
	fmt.Fprintln(os.Stderr, sandbox.Exec(args[0], append([]string{"/proc/self/exe"}, args[1:]...)))
	return 1
})

// TestCgroup_JoinsWhereClone3IsRefused repeats the placement test under the
// filter of a default container profile.
func TestCgroup_JoinsWhereClone3IsRefused(t *testing.T) {
	testutil.CgroupMount(t)
	if pidfd.HaveIntoCgroup() != nil {
		t.Skip("it is refused already: see TestCgroup_Placement")
	}
	c := exec.Command(testutil.Exe(), "container", "-test.v", "-test.run=^(TestCgroup_Placement|TestCgroup_StartErrors|TestCgroup_Joined.*)$")
	c.Env = testutil.HelperEnv(helperSandbox)
	out, err := c.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "PASS: TestCgroup_Placement") {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestCgroup_StartErrors: the errors of a program are the same inside a
// cgroup, and the cgroup's own name it and the cause.
func TestCgroup_StartErrors(t *testing.T) {
	forEachStrategy(t, func(t *testing.T, m mode) {
		good := openDir(t, testutil.Cgroup(t))
		fd := -1
		c := m.command("/no/such/program")
		if directParks() == nil { // else Direct passes it on to a kernel without
			c.SysProcAttr = &syscall.SysProcAttr{PidFD: &fd}
		}
		c.Cgroup = good
		err := c.Start()
		if fd != -1 {
			t.Errorf("missing program: PidFD is %d", fd)
		}
		var pe *os.PathError
		if !errors.As(err, &pe) || pe.Op != "fork/exec" || pe.Path != "/no/such/program" || !errors.Is(err, unix.ENOENT) {
			t.Errorf("missing program: %v", err)
		}

		c = m.command("/bin/true")
		c.Cgroup = openDir(t, t.TempDir())
		if err := c.Start(); !errors.Is(err, cgroupfs.ErrNotCgroup) || !strings.Contains(err.Error(), "Cmd.Cgroup") {
			t.Errorf("not a cgroup: %v", err)
		}

		path := testutil.Cgroup(t)
		c = m.command("/bin/true")
		c.Cgroup = openDir(t, path)
		if err := os.WriteFile(path+"/cgroup.freeze", []byte("1"), 0); err != nil {
			t.Fatal(err)
		}
		if err := c.Start(); !errors.Is(err, cgroupfs.ErrFrozen) {
			t.Errorf("frozen: %v", err)
		}

		gone := testutil.Cgroup(t)
		c = m.command("/bin/true")
		c.Cgroup = openDir(t, gone)
		if err := unix.Rmdir(gone); err != nil {
			t.Fatal(err)
		}
		if err := c.Start(); !errors.Is(err, cgroupfs.ErrRemoved) {
			t.Errorf("removed: %v", err)
		}

		c = m.command("/bin/true")
		c.Cgroup, c.SysProcAttr = good, &syscall.SysProcAttr{UseCgroupFD: true}
		if err := c.Start(); !errors.Is(err, errCgroupTwice) {
			t.Errorf("two cgroups: %v", err)
		}
		if rest := testutil.ReadFile(good.Name() + "/cgroup.procs"); rest != "" {
			t.Errorf("left in the cgroup: %q", rest)
		}
	})
}

// TestCgroup_JoinedLooksBorn: nothing of the launcher shows in the program.
func TestCgroup_JoinedLooksBorn(t *testing.T) {
	forEachStrategy(t, func(t *testing.T, m mode) {
		c := m.command("/bin/sh", "-c", `tr '\0' ' ' </proc/$$/cmdline; ls /proc/$$/fd; env; pwd; read x; exit 7`, "arg with space")
		c.Cgroup = openDir(t, testutil.Cgroup(t))
		c.Title = "a title"
		c.Dir = "/"
		c.Env = []string{"PATH=/bin:/usr/bin", "A=1"}
		c.Stdin = strings.NewReader("x\n")
		out, err := c.Output()
		var ee *ExitError
		if !errors.As(err, &ee) || ee.ExitCode() != 7 {
			t.Errorf("%v", err)
		}
		for _, want := range []string{"a title -c ", " arg with space ", "\n/\n", "A=1\n"} {
			if !strings.Contains(string(out), want) {
				t.Errorf("%q is not in\n%s", want, out)
			}
		}
		if strings.Contains(string(out), "TFORK_ROLE") || strings.Contains(string(out), "GODEBUG") {
			t.Errorf("a role shows in\n%s", out)
		}
		inherited := testutil.InheritableFDs()
		for line := range strings.Lines(string(out)) {
			fd := strings.TrimSpace(line)
			if len(fd) > 0 && len(fd) < 4 && strings.Trim(fd, "0123456789") == "" && fd > "2" && inherited[fd] == "" {
				t.Errorf("descriptor %s shows in\n%s", fd, out)
			}
		}
	})
}

// helperIgnores ignores signals, and compares what workers in a cgroup make of it
// with what others do.
var helperIgnores = testutil.Helper("ignores signals", func(args []string) int {
	signal.Ignore(unix.SIGTERM, unix.SIGUSR1, unix.SIGPIPE, unix.SIGTSTP, unix.SIGCHLD, unix.SIGURG)
	dir, err := os.Open(args[0])
	if err != nil {
		fmt.Println(err)
		return 1
	}
	code := 0
	for _, m := range append([]mode{{name: "auto"}}, modes...) {
		if m.strategy == Waiter && waiterPossible() != nil {
			continue
		}
		want, wantErr := ignoredByWorker(m.command("cat", "/proc/self/status"))
		inside := m.command("cat", "/proc/self/status")
		inside.Cgroup = dir
		got, err := ignoredByWorker(inside)
		if got != want || err != nil || wantErr != nil {
			fmt.Printf("%s: %q in a cgroup (%v), %q outside (%v)\n", m.name, got, err, want, wantErr)
			code = 1
		}
	}
	return code
})

// ignoredByWorker is what the kernel says of c, which prints it; nothing where it
// says nothing.
func ignoredByWorker(c *Cmd) (string, error) {
	out, err := c.Output()
	if errors.Is(err, ErrLost) {
		err = nil // unguarded here: it has printed all the same
	}
	_, rest, _ := strings.Cut(string(out), "SigIgn:\t")
	set, _, _ := strings.Cut(rest, "\n")
	return set, err
}

// TestCgroup_JoinedIgnoresAsBorn: the launcher's runtime, which has handlers for
// nearly all signals, does not show in what the program ignores.
func TestCgroup_JoinedIgnoresAsBorn(t *testing.T) {
	c := exec.Command(testutil.Exe(), testutil.Cgroup(t))
	c.Env = testutil.HelperEnv(helperIgnores)
	if out, err := c.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestPlacement_Order(t *testing.T) {
	no := errors.New("no")
	tests := []struct {
		born, joined error
		move         bool
		want         Placement
	}{
		{want: PlacedBorn},
		{move: true, want: PlacedBorn},
		{born: no, want: PlacedJoined},
		{born: no, move: true, want: PlacedJoined},
		{born: no, joined: no, move: true, want: PlacedMoved},
		{born: no, joined: no, want: PlacedNowhere},
	}
	for _, tt := range tests {
		got, err := (&Cmd{CgroupMove: tt.move}).placement(tt.born, func() error { return tt.joined })
		if got != tt.want || (err != nil) != (got == PlacedNowhere) {
			t.Errorf("born %v, joined %v, move %v: %v, %v, want %v", tt.born, tt.joined, tt.move, got, err, tt.want)
		}
	}
}

// TestCgroup_Moved: without Dispatch and clone3 a caller may insist.
func TestCgroup_Moved(t *testing.T) {
	path := testutil.Cgroup(t)
	dir := openDir(t, path)
	conn, err := duplicate(dir)
	if err != nil {
		t.Fatal(err)
	}
	p := &place{dir: conn, way: PlacedMoved}
	defer p.close(false)
	worker, let := startWaiting(t, mode{strategy: Direct}, 0)
	if err := p.confirm(worker.Pid); err != nil {
		t.Fatal(err)
	}
	if got := cgroupOf(itoa(worker.Pid)); filepath.Base(got) != filepath.Base(path) {
		t.Errorf("worker is in %q", got)
	}
	let()
	wantExit(t, worker, 0)
	// One that has ended, and was collected, meanwhile: its status is what counts.
	if err := p.confirm(worker.Pid); err != nil {
		t.Errorf("after its end: %v", err)
	}
}
