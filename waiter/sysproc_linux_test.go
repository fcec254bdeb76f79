// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package waiter

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/creack/pty"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/seed-cb702d51/tfork-go/internal/testutil"
)

// sysAttrs are ways to start a worker; make is called once for each road,
// since some things can be used once only.
var sysAttrs = []struct {
	name string
	root bool
	make func(t *testing.T) *syscall.SysProcAttr
}{
	{"nil", false, func(*testing.T) *syscall.SysProcAttr { return nil }},
	{"empty", false, func(*testing.T) *syscall.SysProcAttr { return &syscall.SysProcAttr{} }},
	{"Credential", true, func(*testing.T) *syscall.SysProcAttr {
		return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 12, Gid: 34, Groups: []uint32{56, 78}}}
	}},
	{"Credential without groups", true, func(*testing.T) *syscall.SysProcAttr {
		return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 12, Gid: 34}}
	}},
	{"Credential.NoSetGroups", true, func(*testing.T) *syscall.SysProcAttr {
		return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 12, Gid: 34, NoSetGroups: true}}
	}},
	{"AmbientCaps", true, func(*testing.T) *syscall.SysProcAttr {
		return &syscall.SysProcAttr{
			Credential:  &syscall.Credential{Uid: 12, Gid: 34},
			AmbientCaps: []uintptr{unix.CAP_NET_BIND_SERVICE, unix.CAP_SYS_TIME},
		}
	}},
	{"Cloneflags NEWUTS|NEWIPC|NEWNET|NEWNS", true, func(*testing.T) *syscall.SysProcAttr {
		return &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWUTS | unix.CLONE_NEWIPC | unix.CLONE_NEWNET | unix.CLONE_NEWNS}
	}},
	{"Cloneflags NEWTIME", true, func(*testing.T) *syscall.SysProcAttr {
		return &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWTIME}
	}},
	{"Unshareflags", true, func(*testing.T) *syscall.SysProcAttr {
		return &syscall.SysProcAttr{Unshareflags: unix.CLONE_NEWNS | unix.CLONE_NEWUTS}
	}},
	{"user namespace", false, func(*testing.T) *syscall.SysProcAttr { return userNamespace(unix.CLONE_NEWUSER, 0) }},
	{"unshared user namespace", false, func(*testing.T) *syscall.SysProcAttr { return userNamespace(0, unix.CLONE_NEWUSER) }},
	{"empty user namespace", false, func(*testing.T) *syscall.SysProcAttr {
		return &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWUSER, UidMappings: []syscall.SysProcIDMap{}}
	}},
	{"Setsid", false, func(*testing.T) *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }},
	{"Setpgid", false, func(*testing.T) *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }},
	{"Pdeathsig", false, func(*testing.T) *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: unix.SIGKILL} }},
}

func userNamespace(clone, unshare uintptr) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{
		Cloneflags: clone, Unshareflags: unshare,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
}

// TestSpawn_SysProcAttr compares workers by both roads.
func TestSpawn_SysProcAttr(t *testing.T) {
	exe := readableExe(t)
	for _, tt := range sysAttrs {
		t.Run(tt.name, func(t *testing.T) {
			if tt.root && os.Getuid() != 0 {
				t.Skip("only root may")
			}
			want, wantErr := describeDirect(func(c *exec.Cmd) { c.Path, c.SysProcAttr = exe, tt.make(t) })
			got, w, err := describeWith(&pool, func(r *Request) { r.Path, r.Sys = exe, tt.make(t) })
			if fmt.Sprint(cause(err)) != fmt.Sprint(cause(wantErr)) {
				t.Fatalf("%v, want %v", err, wantErr)
			}
			if err != nil {
				t.Skipf("by neither road: %v", err)
			}
			// A new group or session is that of the worker itself.
			for _, d := range []*description{got, want} {
				d.Pgid, d.Sid = d.Pgid-d.Pid, d.Sid-d.Pid
				if d.Pgid != 0 {
					d.Pgid = -1
				}
				if d.Sid != 0 {
					d.Sid = -1
				}
			}
			if diff := cmp.Diff(want.takenOver(), got.takenOver()); diff != "" {
				t.Errorf("worker of %d differs (-os/exec +waiter):\n%s", w.WaiterPid(), diff)
			}
		})
	}
}

// cause is the errno in an error of either road.
func cause(err error) error {
	for {
		u, ok := err.(interface{ Unwrap() error })
		if !ok {
			return err
		}
		err = u.Unwrap()
	}
}

func TestSpawn_Chroot(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root may")
	}
	dir := t.TempDir()
	os.Rename(testutil.Tiny(t, 5), dir+"/tiny")
	os.Mkdir(dir+"/sub", 0o755)
	dev := null(t)
	w, err := pool.Spawn(&Request{
		Path: "../tiny", Args: []string{"tiny"}, Dir: "/sub", Files: []uintptr{dev, dev, dev},
		Sys: &syscall.SysProcAttr{Chroot: dir},
	})
	if err != nil {
		t.Fatal(err)
	}
	if status, err := within(t, w); err != nil || status.ExitStatus() != 5 {
		t.Errorf("status %#x, %v", status, err)
	}
}

func TestSpawn_PgidJoinsAGroup(t *testing.T) {
	leader := spawnLive(t, &pool, func(r *Request) { r.Sys = &syscall.SysProcAttr{Setpgid: true} })
	d, _ := mustDescribe(t, &pool, func(r *Request) { r.Sys = &syscall.SysProcAttr{Setpgid: true, Pgid: leader.Pid()} })
	if d.Pgid != leader.Pid() {
		t.Errorf("group %d, want %d", d.Pgid, leader.Pid())
	}
}

func TestSpawn_ControllingTerminal(t *testing.T) {
	ptmx, tty, err := pty.Open()
	if err != nil {
		t.Skipf("no terminals here: %v", err)
	}
	defer ptmx.Close()
	defer tty.Close()
	d, _ := mustDescribe(t, &pool, func(r *Request) {
		r.Files[0] = uintptr(fdOf(tty))
		r.Sys = &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 0}
	})
	if d.Sid != d.Pid || d.Tpgid != d.Pid {
		t.Errorf("worker %d: session %d, foreground group %d", d.Pid, d.Sid, d.Tpgid)
	}
}

// foreground is the leader of a session with a terminal at descriptor 0, whose
// workers go to the foreground or leave the terminal.
var foreground = testutil.Helper("caller with a terminal", func([]string) int {
	var p Pool
	defer p.CloseIdle()
	d, _, err := describeWith(&p, func(r *Request) {
		r.Files[0] = 0
		r.Sys = &syscall.SysProcAttr{Foreground: true, Ctty: 0}
	})
	if err != nil || d.Pgid != d.Pid || d.Tpgid != d.Pid {
		fmt.Fprintf(os.Stderr, "Foreground: %v, %+v\n", err, d)
		return 1
	}
	// The new foreground group is empty now; from the background, setting it
	// is allowed to who ignores SIGTTOU or, as here, asks for Foreground.
	d, _, err = describeWith(&p, func(r *Request) {
		r.Files[0] = 0
		r.Sys = &syscall.SysProcAttr{Noctty: true}
	})
	if err != nil || d.Tpgid != -1 {
		fmt.Fprintf(os.Stderr, "Noctty: %v, %+v\n", err, d)
		return 1
	}
	return 0
})

func TestSpawn_ForegroundAndNoctty(t *testing.T) {
	ptmx, tty, err := pty.Open()
	if err != nil {
		t.Skipf("no terminals here: %v", err)
	}
	defer ptmx.Close()
	defer tty.Close()
	c := exec.Command(testutil.Exe())
	c.Env = testutil.HelperEnv(foreground)
	var stderr strings.Builder
	c.Stdin, c.Stderr = tty, &stderr
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 0}
	if err := c.Run(); err != nil {
		t.Errorf("%v\n%s", err, stderr.String())
	}
}

func TestSpawn_CgroupFD(t *testing.T) {
	dir := cgroupDir(t)
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	born := &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: fd}
	testutil.NeedFeature(t, "5.7", func() error {
		c := exec.Command("/bin/true")
		c.SysProcAttr = born
		if err := c.Run(); err != nil {
			return fmt.Errorf("%w: %w", errors.ErrUnsupported, err)
		}
		return nil
	})
	d, _ := mustDescribe(t, &pool, func(r *Request) { r.Sys = born })
	if want := dir[strings.LastIndexByte(dir, '/'):]; !strings.Contains(d.Cgroup, want+"\n") {
		t.Errorf("cgroups %q, want one that ends in %q", d.Cgroup, want)
	}
}

// cgroupDir makes a cgroup of version 2 for the test.
func cgroupDir(t *testing.T) string {
	mounts, _ := os.ReadFile("/proc/self/mounts")
	for line := range strings.Lines(string(mounts)) {
		f := strings.Fields(line)
		if len(f) < 3 || f[2] != "cgroup2" {
			continue
		}
		dir := fmt.Sprintf("%s/waiter-test-%d", f[1], os.Getpid())
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Skipf("no cgroup can be made here: %v", err)
		}
		t.Cleanup(func() {
			testutil.Poll(t, soon, "the cgroup is empty", func() bool { return os.Remove(dir) == nil })
		})
		return dir
	}
	t.Skip("no cgroup version 2 is mounted")
	return ""
}

// TestSpawn_FilesAreWhatWasAskedFor counts descriptors on all sides.
func TestSpawn_FilesAreWhatWasAskedFor(t *testing.T) {
	// One that this process would leave to any child by mistake.
	leaky, err := unix.Dup(1)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(leaky)
	for _, n := range []int{3, 4, 250, 251, 252, 253, 254, 255, 600} {
		t.Run(strconv.Itoa(n), func(t *testing.T) {
			p := newPool(t)
			var want []string
			d, _ := mustDescribe(t, p, func(r *Request) {
				for len(r.Files) < n {
					if len(r.Files)%5 == 3 {
						r.Files = append(r.Files, Closed)
					} else {
						r.Files = append(r.Files, r.Files[1])
					}
				}
				for fd, f := range r.Files {
					if f != Closed {
						want = append(want, strconv.Itoa(fd))
					}
				}
			})
			var got []string
			for fd, to := range d.FDs {
				if strings.HasPrefix(to, "/tmp/waiter-test") || fd == "2" {
					got = append(got, fd)
				}
			}
			slices.Sort(got)
			slices.Sort(want)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("worker's descriptors (-want +got):\n%s\nall: %v", diff, d.FDs)
			}
			checkWaiterFDs(t, p.shared.pid())
		})
	}
}

// ownFDs are what a waiter holds: /dev/null, its socket, and the Go runtime's
// network poller.
var ownFDs = []string{
	"0 /dev/null", "1 /dev/null", "2 /dev/null", "3 socket", "4 anon_inode:[eventpoll]", "5 anon_inode:[eventfd]",
}

// checkWaiterFDs holds that there are no others, once the waiter has let go of
// what it has just sent.
func checkWaiterFDs(t *testing.T, pid int) {
	t.Helper()
	var diff string
	if !testutil.PollFor(soon, func() bool { diff = cmp.Diff(ownFDs, waiterFDs(pid)); return diff == "" }) {
		t.Errorf("the waiter's descriptors (-want +got):\n%s", diff)
	}
}

func waiterFDs(pid int) (got []string) {
	for fd, to := range testutil.FDsOf(pid) {
		if strings.HasPrefix(to, "socket:") {
			to = "socket"
		}
		got = append(got, fd+" "+to)
	}
	slices.Sort(got)
	return got
}

// TestSpawn_LargeRequests goes over each boundary of the wire, up to what the
// kernel takes.
func TestSpawn_LargeRequests(t *testing.T) {
	for _, size := range []int{1000, 32_000, 32_500, 32_700, 33_000, 130_000, 500_000, 2_000_000} {
		t.Run(strconv.Itoa(size), func(t *testing.T) {
			var args []string
			for left := size; left > 0; left -= 100_000 {
				args = append(args, strings.Repeat("x", min(left, 100_000)))
			}
			d, _, err := describeWith(&pool, func(r *Request) { r.Args = append(r.Args, args...) })
			if cause(err) == unix.E2BIG {
				t.Skip("more than the kernel takes here (a quarter of the stack's limit)")
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(args, d.Args[1:]); diff != "" {
				t.Errorf("arguments differ: %d bytes of difference", len(diff))
			}
		})
	}
}
