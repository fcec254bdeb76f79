// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/seed-cb702d51/tfork-go/internal/testutil"
)

func TestMain(m *testing.M) { testutil.Main(m, nil) }

// helperUnder replaces itself, under a profile, by what the arguments name.
var helperUnder = testutil.Helper("sandbox under", func(args []string) int {
	os.Setenv("TFORK_TEST_HELPER", helperAnswers)
	fmt.Fprintln(os.Stderr, Exec(args[0], []string{testutil.Exe()}))
	return 1
})

// helperAnswers prints what the filtered calls answer.
var helperAnswers = testutil.Helper("sandbox answers", func([]string) int {
	null, err := os.Open("/dev/null")
	if err != nil {
		return 1
	}
	defer null.Close()
	fd, bad := uintptr(3), ^uintptr(0)
	for _, call := range []struct {
		name           string
		trap, a, b, c0 uintptr
	}{
		{"pidfd_open", unix.SYS_PIDFD_OPEN, bad, 0, 0},
		{"pidfd_send_signal", unix.SYS_PIDFD_SEND_SIGNAL, bad, 0, 0},
		{"pidfd_getfd", unix.SYS_PIDFD_GETFD, bad, 0, 0},
		{"clone3", unix.SYS_CLONE3, 0, 0, 0},
		{"close_range", unix.SYS_CLOSE_RANGE, 9, 8, 0},
		{"waitid pidfd", unix.SYS_WAITID, unix.P_PIDFD, bad, 0},
		{"waitid pid", unix.SYS_WAITID, unix.P_PID, 1, 0},
		// No place to put the pidfd: EFAULT, before there is a process.
		{"clone pidfd", unix.SYS_CLONE, unix.CLONE_PIDFD | uintptr(unix.SIGCHLD), 0, 0},
		{"ioctl pidfd", unix.SYS_IOCTL, fd, 0xff01, 0},
		{"ioctl info", unix.SYS_IOCTL, fd, 0xc040ff0b, 0},
		{"ioctl other", unix.SYS_IOCTL, fd, unix.TCGETS, 0},
	} {
		pid, _, errno := unix.RawSyscall6(call.trap, call.a, call.b, call.c0, unix.WEXITED, 0, 0)
		if call.trap == unix.SYS_CLONE && errno == 0 && pid == 0 {
			// A kernel that ignores the flag made a process after all.
			unix.RawSyscall(unix.SYS_EXIT_GROUP, 0, 0, 0)
		}
		fmt.Printf("%s=%s\n", call.name, unix.ErrnoName(errno))
	}
	return 0
})

// TestProfiles_AnswerAsNamed looks at the real answers under each profile. A
// call that is not filtered is recognised by the errno that its bad arguments
// earn it.
func TestProfiles_AnswerAsNamed(t *testing.T) {
	free := answers(t, "")
	want := map[string]map[string]string{
		"linux-4": {
			"pidfd_open": "ENOSYS", "pidfd_send_signal": "ENOSYS", "pidfd_getfd": "ENOSYS", "clone3": "ENOSYS",
			"close_range": "ENOSYS", "waitid pidfd": "EINVAL", "clone pidfd": "EINVAL", "ioctl pidfd": "ENOTTY", "ioctl info": "ENOTTY",
		},
		"container":    {"clone3": "ENOSYS"},
		"no-exit-info": {"ioctl info": "ENOTTY"},
		"eperm": {
			"pidfd_open": "EPERM", "pidfd_send_signal": "EPERM", "pidfd_getfd": "EPERM", "clone3": "EPERM",
			"close_range": "EPERM",
		},
	}
	for _, p := range Profiles() {
		t.Run(p.Name, func(t *testing.T) {
			for call, got := range answers(t, p.Name) {
				expected, filtered := want[p.Name][call]
				if !filtered {
					expected = free[call]
				}
				if got != expected {
					t.Errorf("%s answers %s, want %s", call, got, expected)
				}
			}
		})
	}
}

// answers asks a helper process, under the profile or (with none) free.
func answers(t *testing.T, profile string) map[string]string {
	t.Helper()
	c := exec.Command(testutil.Exe(), profile)
	c.Env = testutil.HelperEnv(helperUnder)
	if profile == "" {
		c.Env = testutil.HelperEnv(helperAnswers)
	}
	out, err := c.CombinedOutput()
	if strings.Contains(string(out), "pthread_create failed: Operation not permitted") {
		t.Skip("this binary uses the C library, which takes EPERM from clone3 for an answer to every new thread")
	}
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	got := map[string]string{}
	for line := range strings.Lines(string(out)) {
		if name, answer, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			got[name] = answer
		}
	}
	return got
}

func TestExec_AsOrdinaryUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("TestProfiles_AnswerAsNamed runs as an ordinary user already")
	}
	c := exec.Command(testutil.Exe(), "container")
	c.Env = testutil.HelperEnv(helperUnder)
	c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := c.CombinedOutput()
	if errors.Is(err, os.ErrPermission) {
		t.Skipf("the test binary is out of reach for nobody: %v", err)
	}
	if err != nil || !strings.Contains(string(out), "clone3=ENOSYS") {
		t.Errorf("%v: %s", err, out)
	}
}

func TestExec_UnknownProfile(t *testing.T) {
	err := Exec("linux-0", []string{"/bin/true"})
	if err == nil || !strings.Contains(err.Error(), `"linux-0"; there are linux-4, container`) {
		t.Errorf("got %v", err)
	}
}
