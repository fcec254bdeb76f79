// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package cgroupfs

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-cb702d51/tfork-go/internal/testutil"
)

// open returns a descriptor of a directory, closed at the test's end.
func open(t *testing.T, dir string) int {
	t.Helper()
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

func write(t *testing.T, path, value string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(value), 0); err != nil {
		t.Fatal(err)
	}
}

func kill(t *testing.T, c *exec.Cmd) {
	t.Helper()
	c.Process.Kill()
	c.Wait()
}

func TestCheck(t *testing.T) {
	tests := []struct {
		name string
		dir  func(t *testing.T) string
		want error
	}{
		{"fresh", func(t *testing.T) string { return testutil.Cgroup(t) }, nil},
		{"hierarchy root", func(t *testing.T) string { return testutil.CgroupMount(t) }, nil},
		{"no cgroup", func(t *testing.T) string { return t.TempDir() }, ErrNotCgroup},
		{"cgroup v1", func(t *testing.T) string {
			const v1 = "/sys/fs/cgroup/pids"
			if _, err := os.Stat(v1 + "/cgroup.clone_children"); err != nil {
				t.Skip("no cgroup v1 hierarchy on this host")
			}
			return v1
		}, ErrNotCgroup},
		{"frozen", func(t *testing.T) string {
			dir := testutil.Cgroup(t)
			write(t, dir+"/cgroup.freeze", "1")
			return dir
		}, ErrFrozen},
		{"frozen above", func(t *testing.T) string {
			dir := testutil.Cgroup(t)
			if err := os.MkdirAll(dir+"/a/b", 0o755); err != nil {
				t.Fatal(err)
			}
			write(t, dir+"/cgroup.freeze", "1")
			return dir + "/a/b"
		}, ErrFrozen},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			fd := open(t, tt.dir(t))
			err := Check(fd)
			if os.Geteuid() != 0 && tt.want == nil && errors.Is(err, ErrNoDelegation) {
				t.Skip("an ordinary user may not write there")
			}
			if !errors.Is(err, tt.want) {
				t.Errorf("Check = %v, want %v", err, tt.want)
			}
		})
	}
}

func TestRemoved(t *testing.T) {
	dir := testutil.Cgroup(t)
	fd := open(t, dir)
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	if err := Check(fd); !errors.Is(err, ErrRemoved) {
		t.Errorf("Check = %v", err)
	}
	if err := Move(fd, os.Getpid()); !errors.Is(err, ErrRemoved) {
		t.Errorf("Move = %v", err)
	}
	if _, err := Read(fd); !errors.Is(err, ErrRemoved) {
		t.Errorf("Read = %v", err)
	}
	if c, err := ReadOOM(fd); err != nil || c.HasOOM {
		t.Errorf("ReadOOM = %+v, %v", c, err)
	}
}

func TestFrozen_WhileBeingFrozen(t *testing.T) {
	needClone3(t)
	dir := testutil.Cgroup(t)
	fd := open(t, dir)
	c, err := startIn(fd, "/bin/sleep", "100")
	if err != nil {
		t.Fatal(err)
	}
	defer kill(t, c)
	if is, err := Frozen(fd); is || err != nil {
		t.Fatalf("Frozen = %v, %v before", is, err)
	}
	write(t, dir+"/cgroup.freeze", "1")
	if is, err := Frozen(fd); !is || err != nil {
		t.Errorf("Frozen = %v, %v right after the order", is, err)
	}
	write(t, dir+"/cgroup.freeze", "0")
	if is, err := Frozen(fd); is || err != nil {
		t.Errorf("Frozen = %v, %v after the thaw", is, err)
	}
}

func TestExplain_BlamesTheRightOne(t *testing.T) {
	needClone3(t)
	good := open(t, testutil.Cgroup(t))
	removedDir := testutil.Cgroup(t)
	removed := open(t, removedDir)
	if err := os.Remove(removedDir); err != nil {
		t.Fatal(err)
	}
	plain := filepath.Join(t.TempDir(), "plain")
	write(t, plain, "")
	tests := []struct {
		name  string
		fd    int
		path  string
		errno error
		want  error // nil: the error stays as it was
	}{
		{"removed", removed, "/bin/true", syscall.ENOENT, ErrRemoved},
		{"program missing", good, "/no/such/program", syscall.ENOENT, nil},
		{"program not executable", good, plain, syscall.EACCES, nil},
		{"no cgroup", open(t, t.TempDir()), "/bin/true", syscall.EBADF, ErrNotCgroup},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := startIn(tt.fd, tt.path)
			if !errors.Is(err, tt.errno) {
				t.Fatalf("start: %v, want %v", err, tt.errno)
			}
			got := Explain(tt.fd, err)
			if tt.want == nil && got != err {
				t.Errorf("Explain made %v of %v", got, err)
			}
			if tt.want != nil && (!errors.Is(got, tt.want) || !errors.Is(got, tt.errno)) {
				t.Errorf("Explain = %v, want %v and %v", got, tt.want, tt.errno)
			}
		})
	}
	if err := Explain(good, nil); err != nil {
		t.Errorf("Explain(nil) = %v", err)
	}
}

func TestExplain_InnerNode(t *testing.T) {
	needClone3(t)
	dir := testutil.Cgroup(t)
	avail := testutil.ReadFile(dir + "/cgroup.controllers")
	// The threaded controllers allow processes beside children's groups.
	if !strings.Contains(avail, "memory") {
		t.Skip("the memory controller is not available in this cgroup")
	}
	write(t, dir+"/cgroup.subtree_control", "+memory")
	fd := open(t, dir)
	_, err := startIn(fd, "/bin/true")
	if !errors.Is(err, syscall.EBUSY) {
		t.Fatalf("start: %v, want EBUSY", err)
	}
	if err := Explain(fd, err); !errors.Is(err, ErrInnerNode) {
		t.Errorf("Explain = %v", err)
	}
}

func TestExplain_Threaded(t *testing.T) {
	needClone3(t)
	dir := testutil.Cgroup(t)
	for _, d := range []string{dir + "/threaded", dir + "/invalid"} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write(t, dir+"/threaded/cgroup.type", "threaded")
	fd := open(t, dir+"/invalid")
	_, err := startIn(fd, "/bin/true")
	if !errors.Is(err, syscall.EOPNOTSUPP) {
		t.Fatalf("start: %v, want EOPNOTSUPP", err)
	}
	if err := Explain(fd, err); !errors.Is(err, ErrThreaded) {
		t.Errorf("Explain = %v", err)
	}
}

func TestExplain_Full(t *testing.T) {
	needClone3(t)
	dir := testutil.Cgroup(t)
	if err := os.WriteFile(dir+"/pids.max", []byte("1"), 0); err != nil {
		t.Skip("the pids controller is not on for this cgroup")
	}
	fd := open(t, dir)
	c, err := startIn(fd, "/bin/sleep", "100")
	if err != nil {
		t.Fatal(err)
	}
	defer kill(t, c)
	_, err = startIn(fd, "/bin/true")
	if !errors.Is(err, syscall.EAGAIN) {
		t.Fatalf("start: %v, want EAGAIN", err)
	}
	if err := Explain(fd, err); !errors.Is(err, ErrFull) {
		t.Errorf("Explain = %v", err)
	}
}

// helperPlace tries to start something in the cgroup whose path it is given,
// and prints what Check and Explain make of it.
var helperPlace = testutil.Helper("place", func(args []string) int {
	fd, err := unix.Open(args[0], unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	checked := Check(fd)
	c, err := startIn(fd, "/bin/true")
	if err == nil {
		err = c.Wait()
	}
	err = Explain(fd, err)
	fmt.Printf("check %v, start %v (%v)\n", errors.Is(checked, ErrNoDelegation), errors.Is(err, ErrNoDelegation), err)
	return 0
})

// TestOrdinaryUser_Delegation: without any, with the target alone, and with
// the helper inside the delegated subtree too.
func TestOrdinaryUser_Delegation(t *testing.T) {
	needClone3(t)
	if os.Geteuid() != 0 {
		t.Skip("needs root to play an ordinary user in a cgroup of another's")
	}
	const nobody = 65534
	dir := testutil.Cgroup(t)
	for _, d := range []string{"", "/self", "/target"} {
		if err := os.MkdirAll(dir+d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	run := func(in string) string {
		c := exec.Command(testutil.ExeForAnyUser, dir+"/target")
		c.Env = testutil.HelperEnv(helperPlace)
		c.SysProcAttr = &syscall.SysProcAttr{
			Credential:  &syscall.Credential{Uid: nobody, Gid: nobody},
			UseCgroupFD: true, CgroupFD: open(t, in),
		}
		out, err := c.CombinedOutput()
		if err != nil {
			t.Fatalf("helper: %v\n%s", err, out)
		}
		return string(out)
	}
	chown := func(paths ...string) {
		for _, p := range paths {
			if err := os.Chown(dir+p, nobody, nobody); err != nil {
				t.Fatal(err)
			}
		}
	}
	if got := run(dir + "/self"); !strings.HasPrefix(got, "check true, start true") {
		t.Errorf("no delegation: %s", got)
	}
	chown("/target", "/target/cgroup.procs")
	if got := run(dir + "/self"); !strings.HasPrefix(got, "check false, start true") {
		t.Errorf("target delegated, the cgroup above both not: %s", got)
	}
	chown("", "/cgroup.procs")
	if got := run(dir + "/self"); !strings.HasPrefix(got, "check false, start false (<nil>)") {
		t.Errorf("both delegated: %s", got)
	}
}

func TestRead_CountsTheWorkersTime(t *testing.T) {
	needClone3(t)
	dir := testutil.Cgroup(t)
	fd := open(t, dir)
	c, err := startIn(fd, "/bin/sh", "-c", "i=0; while :; do i=$((i+1)); done")
	if err != nil {
		t.Fatal(err)
	}
	defer kill(t, c)
	var got Counters
	testutil.Poll(t, 30*time.Second, "50 ms of processor time are counted", func() bool {
		if got, err = Read(fd); err != nil {
			t.Fatal(err)
		}
		return got.HasCPU && got.CPUTime >= 50*time.Millisecond
	})
	_, statErr := os.Stat(dir + "/memory.events")
	if has := statErr == nil; got.HasOOM != has {
		t.Errorf("HasOOM = %v, want %v", got.HasOOM, has)
	}
	oom, err := ReadOOM(fd)
	if want := (Counters{HasOOM: got.HasOOM, OOMKills: got.OOMKills}); err != nil || oom != want {
		t.Errorf("ReadOOM = %+v, %v, want %+v", oom, err, want)
	}
}

func TestRead_OfNoCgroup(t *testing.T) {
	fd := open(t, t.TempDir())
	if _, err := Read(fd); !errors.Is(err, ErrNotCgroup) {
		t.Errorf("Read = %v", err)
	}
}

func TestFindMount_IsWhatTheTestsUse(t *testing.T) {
	want := testutil.CgroupMount(t)
	m, err := FindMount()
	if err != nil {
		t.Fatal(err)
	}
	if m.Point != want {
		t.Errorf("FindMount = %+v, want %s", m, want)
	}
}
