// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package testutil

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"
)

// helperGain tells whether its execution gave it rights that whoever started it
// does not have.
var helperGain = Helper("testutil privileged execution", func([]string) int {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		fmt.Println(err)
		return 1
	}
	none := bytes.Contains(status, []byte("\nCapPrm:\t0000000000000000\n"))
	fmt.Print(os.Geteuid() != os.Getuid() || os.Getegid() != os.Getgid() || !none)
	return 0
})

// NeedPrivilegedExec skips the test where execve gives an ordinary user no rights
// for a copy of this program that is set-uid, set-gid or has file capabilities:
// the file system is mounted so, or the kernel does not know it. Only root can
// ask.
func NeedPrivilegedExec(t testing.TB, exe string) {
	t.Helper()
	c := exec.Command(exe)
	c.Dir, c.Env = "/", HelperEnv(helperGain)
	c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	switch out, err := c.CombinedOutput(); {
	case err != nil:
		t.Fatalf("%v: %s", err, out)
	case string(out) == "false":
		t.Skip("execve gives no rights for such a file here")
	}
}

// NeedComm skips the test where a process cannot change its name.
func NeedComm(t testing.TB) {
	t.Helper()
	if err := HaveComm(); err != nil {
		t.Skip(err)
	}
}

// HaveComm tells whether a process can change its name: it gives itself the one
// that it has.
func HaveComm() error {
	const comm = "/proc/self/comm"
	name, err := os.ReadFile(comm)
	if err == nil {
		err = os.WriteFile(comm, name, 0)
	}
	if err != nil {
		return fmt.Errorf("a process cannot change its name here: %w", err)
	}
	return nil
}
