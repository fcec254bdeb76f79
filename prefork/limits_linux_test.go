// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package prefork

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/seed-cb702d51/tfork-go/internal/testutil"
	"github.com/seed-cb702d51/tfork-go/prefork/config"
)

// TestServer_LimitsOfWorkers: as root, those limits are set that the worker's
// own user could not set, so the order is right.
func TestServer_LimitsOfWorkers(t *testing.T) {
	const hard = 400 // of the server
	t.Setenv("TEST_HARD_NOFILE", strconv.Itoa(hard))
	files, uid := hard-100, os.Getuid()
	prio, _ := unix.Getpriority(unix.PRIO_PROCESS, 0)
	nice := 20 - prio + 3 // than ours, which is all that a user may be
	identity := ""
	if uid == 0 {
		uid, identity = 65534, "user = \"65534\"\n"
		// A container's root may lack either.
		if capable(t, unix.CAP_SYS_RESOURCE) {
			files = hard + 100
		}
		if capable(t, unix.CAP_SYS_NICE) {
			nice = -3
		}
	}
	settings := fmt.Sprintf("children = 1\n%snice = %d\nrlimit-nofile = %d\nrlimit-core = 0\ncpus = [%d]", identity, nice, files, ownCPU())
	forEachStrategy(t, func(t *testing.T) {
		s := start(t, settings, httpService, aloneService)
		for service, name := range map[string]string{httpService: "worker-http-0", aloneService: "master-alone"} {
			got := s.see(service)
			if got.Nice != nice || got.NoFile != uint64(files) || got.CPUs != 1 || got.Uid != uid {
				t.Errorf("%s has %+v, want nice %d, %d files, 1 CPU, uid %d", name, got, nice, files, uid)
			}
			if identity != "" && len(got.Groups) > 0 {
				t.Errorf("%s still has groups %v", name, got.Groups)
			}
			if s.pid(name) != got.Pid {
				t.Errorf("%s has no name of its own", name)
			}
			holdThreads(t, got.Pid, uid, nice)
		}
		if owner := uidOf(t, fmt.Sprintf("/proc/%d", s.pid("master-http"))); owner != os.Getuid() {
			t.Errorf("the master has become user %d", owner)
		}
	})
}

// TestServer_AnotherUserWithoutTheRight is refused at the start: each worker could
// only say so in its log, again and again.
func TestServer_AnotherUserWithoutTheRight(t *testing.T) {
	s := prepare(t, "user = \"65533\"")
	ctx, cancel := context.WithTimeout(t.Context(), testutil.Scaled(patience))
	defer cancel()
	cmd := exec.CommandContext(ctx, testutil.Exe(), s.config, httpService)
	if os.Getuid() == 0 {
		cmd.Path = testutil.ExeForAnyUser
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		for _, path := range []string{s.config, filepath.Dir(s.config), filepath.Dir(filepath.Dir(s.config))} {
			if err := os.Chown(path, 65534, 65534); err != nil {
				t.Fatal(err)
			}
		}
	}
	cmd.Env = testutil.HelperEnv(serverProcess)
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "CAP_SETUID") {
		t.Errorf("%v: %s", err, out)
	}
}

// newForAnother is a process that calls New for workers of another user, and
// prints the error. With an argument it gives CAP_KILL up before.
var newForAnother = testutil.Helper("prefork: New for another user", func(args []string) int {
	runtime.LockOSThread() // capabilities are a thread's
	if len(args) > 0 {
		header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var data [2]unix.CapUserData
		err := unix.Capget(&header, &data[0])
		data[0].Effective &^= 1 << unix.CAP_KILL
		if err == nil {
			err = unix.Capset(&header, &data[0])
		}
		if err != nil {
			fmt.Println(err)
			return 1
		}
	}
	st := config.Default()
	st.User = "65533"
	s, err := New(Options{Services: []string{httpService}, Config: config.Config{Defaults: &st}})
	if err == nil {
		s.Close()
	}
	fmt.Println(err)
	return 0
})

// TestNew_AnotherUserWithTooFewRights: one whose workers could go back to their
// old rights, and one who could not end them, are refused too.
func TestNew_AnotherUserWithTooFewRights(t *testing.T) {
	testutil.NeedPeerCredentials(t)
	rights := []uintptr{unix.CAP_SETUID, unix.CAP_SETGID, unix.CAP_KILL}
	for _, right := range rights {
		if os.Getuid() != 0 || !capable(t, uint(right)) {
			t.Skip("needs root with its capabilities")
		}
	}
	for _, tt := range []struct {
		name, refused string
		args          []string
		sys           *syscall.SysProcAttr
	}{
		{"root", "<nil>", nil, nil},
		{"root without CAP_KILL", "permission denied: start the server as root", []string{"drop"}, nil},
		{"capabilities alone", "permission denied: start the server as root", nil, &syscall.SysProcAttr{
			Credential: &syscall.Credential{Uid: 65534, Gid: 65534}, AmbientCaps: rights,
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cmd := exec.Command(testutil.ExeForAnyUser, tt.args...)
			cmd.Dir, cmd.Env, cmd.SysProcAttr = "/", testutil.HelperEnv(newForAnother), tt.sys
			out, err := cmd.CombinedOutput()
			if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EINVAL) {
				t.Skipf("no ambient capabilities: %v", err)
			}
			if err != nil || !strings.Contains(string(out), tt.refused) {
				t.Errorf("%v: %s; want %s", err, out, tt.refused)
			}
		})
	}
}

// TestNew_CPUThatIsNotThere is refused, also beside one that is.
func TestNew_CPUThatIsNotThere(t *testing.T) {
	testutil.NeedPeerCredentials(t)
	for missing, cpus := range map[string][]int{"": {ownCPU()}, "cpus: 1023": {ownCPU(), 1023}, "cpus: 60000": {60000}} {
		st := config.Default()
		st.CPUs = cpus
		s, err := New(Options{Services: []string{httpService}, Config: config.Config{Defaults: &st}})
		if err == nil {
			s.Close()
		}
		if (err == nil) != (missing == "") || err != nil && !strings.Contains(err.Error(), missing) {
			t.Errorf("%v: %v; want %q", cpus, err, missing)
		}
	}
}

// capable tells whether this process has a capability.
func capable(t *testing.T, capability uint) bool {
	t.Helper()
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		t.Fatal(err)
	}
	return data[capability/32].Effective&(1<<(capability%32)) != 0
}

// ownCPU is one that this process may run on.
func ownCPU() int {
	var set unix.CPUSet
	unix.SchedGetaffinity(0, &set)
	for cpu := range len(set) * 64 {
		if set.IsSet(cpu) {
			return cpu
		}
	}
	return 0
}

func uidOf(t testing.TB, path string) int {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return int(info.Sys().(*syscall.Stat_t).Uid)
}

// holdThreads holds that user and nice are those of all threads, and that the
// process's own directory is its user's.
func holdThreads(t *testing.T, pid, uid, nice int) {
	t.Helper()
	if got := uidOf(t, fmt.Sprintf("/proc/%d", pid)); got != uid {
		t.Errorf("/proc/%d belongs to user %d, want %d: no core, no debugger", pid, got, uid)
	}
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", pid))
	if err != nil || len(threads) == 0 {
		t.Fatalf("no threads: %v", err)
	}
	for _, thread := range threads {
		status := testutil.ReadFile(thread + "/status")
		if want := fmt.Sprintf("\nUid:\t%d\t%d\t%d\t%d\n", uid, uid, uid, uid); status != "" && !strings.Contains(status, want) {
			t.Errorf("%s is not all of user %d:\n%s", thread, uid, status)
		}
		_, stat, _ := strings.Cut(testutil.ReadFile(thread+"/stat"), ") ")
		if f := strings.Fields(stat); len(f) > 17 && f[16] != strconv.Itoa(nice) {
			t.Errorf("%s has nice %s, want %d", thread, f[16], nice)
		}
	}
}

// TestServer_EachChannelHasOneHolder: of all sockets only those that listen are
// in two processes.
func TestServer_EachChannelHasOneHolder(t *testing.T) {
	forEachStrategy(t, func(t *testing.T) {
		s := start(t, "children = 3", httpService, echoService)
		old := s.pids()
		s.kill(syscall.SIGKILL, "worker-http-1") // also after restarts
		s.renewed(old, "worker-http-1")
		shared := readFile(t, "/proc/net/tcp") + readFile(t, "/proc/net/udp")
		holders := map[string][]string{}
		for name, pid := range s.pids() {
			own := map[string]bool{}
			for _, to := range testutil.FDsOf(pid) {
				if inode, ok := strings.CutPrefix(to, "socket:["); ok && !own[inode] {
					own[inode] = true
					holders[strings.TrimSuffix(inode, "]")] = append(holders[strings.TrimSuffix(inode, "]")], name)
				}
			}
		}
		for inode, names := range holders {
			if len(names) > 1 && !strings.Contains(shared, " "+inode+" ") {
				slices.Sort(names)
				t.Errorf("socket %s is held by %v", inode, names)
			}
		}
	})
}
