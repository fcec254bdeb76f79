// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package names

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-cb702d51/tfork-go/internal/testutil"
	"github.com/seed-cb702d51/tfork-go/prefork/internal/message"
)

const patience = 30 * time.Second

// tempDir is a directory that only its owner may write to, whatever the umask.
func tempDir(t testing.TB) string {
	t.Helper()
	testutil.NeedPeerCredentials(t)
	path := filepath.Join(t.TempDir(), "run")
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

func open(t testing.TB, path string) *Dir {
	t.Helper()
	d, err := Open(path, patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

// serve binds a name and answers there in this process: status with row, all
// else with Done.
func serve(t testing.TB, d *Dir, name, row string) (id ID, stop func()) {
	t.Helper()
	s, err := d.Bind(name)
	if err != nil {
		t.Fatal(err)
	}
	end, err := Serve(s.File, func(q message.Message) message.Message {
		if q.Kind == message.Status {
			return message.Text(message.Row, row)
		}
		return message.Message{Kind: message.Done, Body: q.Body}
	})
	if err != nil {
		t.Fatal(err)
	}
	stopped := false
	stop = func() {
		if !stopped {
			stopped = true
			end()
			s.Close()
		}
	}
	t.Cleanup(stop)
	return s.ID, stop
}

func list1(t testing.TB, path string) map[string]string {
	t.Helper()
	entries, err := List(path, patience)
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]string{}
	for _, e := range entries {
		rows[e.Name] = string(e.Row)
		if e.Pid != os.Getpid() {
			t.Errorf("%s has pid %d, want %d", e.Name, e.Pid, os.Getpid())
		}
	}
	return rows
}

func TestDir_NamesAnswer(t *testing.T) {
	path := tempDir(t)
	d := open(t, path)
	serve(t, d, "prefork-master-echo", "m")
	id, _ := serve(t, d, "prefork-worker-echo-0", "w")
	if got := list1(t, path); len(got) != 2 || got["prefork-master-echo"] != "m" || got["prefork-worker-echo-0"] != "w" {
		t.Errorf("List = %v", got)
	}
	a, pid, err := Ask(path, "prefork-worker-echo-0", message.Text(message.Ping, "x"), patience)
	if err != nil || a.Kind != message.Done || string(a.Body) != "x" || pid != os.Getpid() {
		t.Errorf("Ask = %v, pid %d, %v", a, pid, err)
	}
	if _, _, err := Ask(path, "prefork-worker-echo-1", message.Message{}, patience); !errors.Is(err, ErrNoName) {
		t.Errorf("asking nobody: %v", err)
	}
	if err := d.Prune(id); err != nil {
		t.Error(err)
	}
	if err := d.Prune(id); err != nil {
		t.Errorf("pruning what is gone: %v", err)
	}
	if got := list1(t, path); len(got) != 1 {
		t.Errorf("after Prune: %v", got)
	}
}

func TestDir_PromoteExchangesNames(t *testing.T) {
	path := tempDir(t)
	d := open(t, path)
	oldID, _ := serve(t, d, "prefork-worker-echo-0", "old")
	newID, _ := serve(t, d, "prefork-worker-echo-0+2", "new")
	if err := d.Promote(newID, "prefork-worker-echo-0", Place{}); err != nil {
		t.Fatal(err)
	}
	if got := list1(t, path); got["prefork-worker-echo-0"] != "new" || got["prefork-worker-echo-0+2"] != "old" {
		t.Errorf("after Promote: %v", got)
	}
	if err := d.Prune(oldID); err != nil {
		t.Error(err)
	}
	if err := d.Promote(newID, "prefork-worker-echo-0", Place{}); err != nil {
		t.Errorf("promoting again: %v", err)
	}
	if err := d.Promote(newID, "prefork-worker-echo-9", Place{}); err != nil {
		t.Errorf("to a free name: %v", err)
	}
	if got := list1(t, path); len(got) != 1 || got["prefork-worker-echo-9"] != "new" {
		t.Errorf("in the end: %v", got)
	}
	if err := d.Promote(oldID, "x", Place{}); err == nil {
		t.Error("a socket without a name was promoted")
	}
}

func TestDir_SweepTakesOnlyTheStale(t *testing.T) {
	path := tempDir(t)
	d := open(t, path)
	serve(t, d, "prefork-worker-echo-0", "")
	_, stop := serve(t, d, "prefork-worker-echo-1", "")
	stop()
	if err := os.WriteFile(filepath.Join(path, "README"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := d.Sweep(); !slices.Equal(got, []string{"prefork-worker-echo-1"}) {
		t.Errorf("Sweep = %v", got)
	}
	if got := list1(t, path); len(got) != 1 {
		t.Errorf("left: %v", got)
	}
	if _, err := os.Stat(filepath.Join(path, "README")); err != nil {
		t.Error(err)
	}
}

// TestDir_NobodyLosesASuccessorsName: one process gives the name to successors
// while others prune the predecessors and sweep.
func TestDir_NobodyLosesASuccessorsName(t *testing.T) {
	path := tempDir(t)
	d := open(t, path)
	other, err := Attach(path)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	const name = "prefork-worker-echo-0"
	for range 100 {
		old, stopOld := serve(t, d, name, "")
		next, stopNext := serve(t, d, name+"+1", "")
		var all sync.WaitGroup
		all.Go(func() { d.Promote(next, name, Place{}) })
		all.Go(func() { other.Prune(old) })
		all.Go(func() { other.Sweep() })
		all.Wait()
		if got, err := identify(filepath.Join(path, name)); err != nil || got != next {
			t.Fatalf("the name belongs to %v, %v; want the successor's %v", got, err, next)
		}
		if got := list1(t, path); len(got) != 1 {
			t.Fatalf("names: %v", got)
		}
		stopOld()
		stopNext()
	}
}

func TestOpen_TwoSupervisors(t *testing.T) {
	path := tempDir(t)
	d := open(t, path)
	_, err := Open(path, 0)
	if !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), fmt.Sprint("pid ", os.Getpid())) {
		t.Errorf("the second: %v", err)
	}
	d.Close()
	again, err := Open(path, 0)
	if err != nil {
		t.Fatalf("after the first has gone: %v", err)
	}
	again.Close()
}

// leaver binds a name and ends when its standard input does, without cleaning
// up: what a SIGKILL leaves.
var leaver = testutil.Helper("names: leaver", func(args []string) int {
	d, err := Attach(args[0])
	if err != nil {
		panic(err)
	}
	s, err := d.Bind("prefork-worker-echo-0")
	if err != nil {
		panic(err)
	}
	if len(args) > 1 { // hangs: listens, never answers
		fmt.Println("ready")
		io.Copy(io.Discard, os.Stdin)
		return 0
	}
	if _, err := Serve(s.File, func(message.Message) message.Message { return message.Message{Kind: message.Done} }); err != nil {
		panic(err)
	}
	fmt.Println("ready")
	io.Copy(io.Discard, os.Stdin)
	return 0
})

func startLeaver(t *testing.T, args ...string) (pid int, end func()) {
	t.Helper()
	cmd := exec.Command(testutil.Exe(), args...)
	cmd.Env = testutil.HelperEnv(leaver)
	cmd.Stderr = os.Stderr
	stdin, _ := cmd.StdinPipe()
	stdout, _ := cmd.StdoutPipe()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(stdout, make([]byte, len("ready\n"))); err != nil {
		t.Fatal(err)
	}
	done := false
	end = func() {
		if !done {
			done = true
			stdin.Close()
			cmd.Wait()
		}
	}
	t.Cleanup(end)
	return cmd.Process.Pid, end
}

func TestOpen_AfterACrash(t *testing.T) {
	path := tempDir(t)
	pid, end := startLeaver(t, path)
	_, err := Open(path, 0)
	if !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), fmt.Sprint("pid ", pid)) {
		t.Errorf("with a process of the earlier run alive: %v", err)
	}
	opened := make(chan error)
	go func() {
		d, err := Open(path, patience)
		if err == nil {
			d.Close()
		}
		opened <- err
	}()
	end()
	if err := <-opened; err != nil {
		t.Errorf("after it has left: %v", err)
	}
	if got := list1(t, path); len(got) != 0 {
		t.Errorf("stale names: %v", got)
	}
}

func TestOpen_Refuses(t *testing.T) {
	testutil.NeedPeerCredentials(t)
	path := tempDir(t)
	if err := os.Chmod(path, 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path, 0); err == nil || !strings.Contains(err.Error(), "chmod go-w") {
		t.Errorf("a directory for everybody: %v", err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(file, 0); err == nil || !strings.Contains(err.Error(), "directory") {
		t.Errorf("a file: %v", err)
	}
	if _, err := List(filepath.Join(t.TempDir(), "none"), 0); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("List of nothing: %v", err)
	}
}

func TestDir_LongPath(t *testing.T) {
	testutil.NeedPeerCredentials(t)
	path := filepath.Join(tempDir(t), strings.Repeat("long", 50), strings.Repeat("path", 50))
	d := open(t, path)
	serve(t, d, "prefork-worker-echo-0", "here")
	if got := list1(t, path); got["prefork-worker-echo-0"] != "here" {
		t.Errorf("List = %v", got)
	}
}

// TestDir_DiskFull needs a file system of its own, which only root may mount.
func TestDir_DiskFull(t *testing.T) {
	testutil.NeedPeerCredentials(t)
	path := tempDir(t)
	if err := unix.Mount("tmpfs", path, "tmpfs", 0, "nr_inodes=3,mode=700"); err != nil {
		t.Skipf("cannot mount a small file system: %v", err)
	}
	defer unix.Unmount(path, unix.MNT_DETACH)
	d := open(t, path) // the root and the lock: one inode is left
	serve(t, d, "prefork-worker-echo-0", "")
	if _, err := d.Bind("prefork-worker-echo-1"); !errors.Is(err, unix.ENOSPC) || !strings.Contains(err.Error(), "prefork-worker-echo-1") {
		t.Errorf("Bind on a full disk: %v", err)
	}
	if got := list1(t, path); len(got) != 1 {
		t.Errorf("List = %v", got)
	}
	d.Close()
	unix.Unmount(path, unix.MNT_DETACH)
	if err := unix.Mount("tmpfs", path, "tmpfs", 0, "nr_inodes=1,mode=700"); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path, 0); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("Open on a full disk: %v", err)
	}
}

func TestServe_SurvivesNonsense(t *testing.T) {
	path := tempDir(t)
	d := open(t, path)
	serve(t, d, "prefork-worker-echo-0", "row")
	for _, nonsense := range []string{"", "GET / HTTP/1.1\r\n\r\n", "PF\x01\x01\xff\xff\xff\xff"} {
		c, err := d.dir.dial("prefork-worker-echo-0", patience)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(c, nonsense)
		c.CloseWrite()
		io.Copy(io.Discard, c)
		c.Close()
	}
	if got := list1(t, path); got["prefork-worker-echo-0"] != "row" {
		t.Errorf("List = %v", got)
	}
}
