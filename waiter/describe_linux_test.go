// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package waiter

import (
	"bytes"
	"encoding/json"
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

// description is what a worker knows about itself.
type description struct {
	Args, Env     []string
	Cwd, Root     string
	Status        map[string]string // lines of /proc/self/status
	Pid, Ppid     int
	Pgid, Sid     int
	Tpgid         int // of the terminal at descriptor 0, -1: none
	Nice          int
	Limits        []unix.Rlimit
	FDs           map[string]string
	Cgroup        string
	Hostname      string
	ParentOf, Tty int
}

// describeLines are those of /proc/self/status that a worker takes over from
// whoever starts it.
var describeLines = []string{
	"Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb",
	"NoNewPrivs", "Seccomp", "Seccomp_filters", "SigIgn", "SigBlk", "Umask", "Cpus_allowed",
}

var describe = testutil.Helper("describe", func([]string) int {
	d := selfDescription()
	if err := json.NewEncoder(os.Stdout).Encode(d); err != nil {
		return 1
	}
	return 0
})

func selfDescription() *description {
	d := &description{
		Args: os.Args, Env: os.Environ(), Status: map[string]string{},
		Pid: os.Getpid(), Ppid: os.Getppid(), Pgid: unix.Getpgrp(), Tpgid: -1,
		FDs: testutil.FDs(), ParentOf: testutil.ParentOf(os.Getppid()),
	}
	d.Cwd, _ = os.Readlink("/proc/self/cwd")
	d.Root, _ = os.Readlink("/proc/self/root")
	d.Sid, _ = unix.Getsid(0)
	d.Nice, _ = unix.Getpriority(unix.PRIO_PROCESS, 0)
	d.Hostname, _ = os.Hostname()
	if pgrp, err := unix.IoctlGetInt(0, unix.TIOCGPGRP); err == nil {
		d.Tpgid = pgrp
	}
	cgroup, _ := os.ReadFile("/proc/self/cgroup")
	d.Cgroup = string(cgroup)
	for i := range rlimits {
		var l unix.Rlimit
		unix.Prlimit(0, i, nil, &l)
		if i == unix.RLIMIT_NOFILE {
			l.Cur = 0 // the Go runtime raises it in every program
		}
		d.Limits = append(d.Limits, l)
	}
	text, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(text)) {
		key, value, _ := strings.Cut(line, ":")
		for _, want := range describeLines {
			if key == want {
				d.Status[key] = strings.TrimSpace(value)
			}
		}
	}
	return d
}

// takenOver leaves in d only what is the same for every worker of one caller
// at one moment, whoever starts it.
func (d *description) takenOver() *description {
	c := *d
	c.Pid, c.Ppid, c.ParentOf, c.FDs = 0, 0, 0, nil
	// A Go program handles SIGCHLD and the like itself; what it inherited as
	// ignored is asked of a shell.
	return &c
}

// describeRequest asks for a worker that describes itself on out.
func describeRequest(out *os.File) *Request {
	return &Request{
		Path: testutil.Exe(), Args: []string{"describe"}, Env: testutil.HelperEnv(describe),
		Files: []uintptr{Closed, uintptr(fdOf(out)), 2},
	}
}

// fdOf is the number of a file without setting it to blocking mode.
func fdOf(f *os.File) (fd int) {
	raw, err := f.SyscallConn()
	if err != nil {
		panic(err)
	}
	raw.Control(func(n uintptr) { fd = int(n) })
	return fd
}

// output starts a worker with its standard output in a file, and returns what
// it wrote after it has ended well.
func output(p *Pool, change func(*Request)) ([]byte, *Worker, error) {
	f, err := os.CreateTemp("/tmp", "waiter-test")
	if err != nil {
		return nil, nil, err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	r := describeRequest(f)
	if change != nil {
		change(r)
	}
	w, err := p.Spawn(r)
	if err != nil {
		return nil, nil, err
	}
	if fd, ok := w.TakePidFD(); ok {
		unix.Close(fd)
	}
	status, _, err := w.Result()
	if err == nil && status != 0 {
		err = fmt.Errorf("wait status %#x", int(status))
	}
	out, readErr := os.ReadFile(f.Name())
	return out, w, errors.Join(err, readErr)
}

// describeWith returns the description of a worker that p has started.
func describeWith(p *Pool, change func(*Request)) (*description, *Worker, error) {
	out, w, err := output(p, change)
	if err != nil {
		return nil, w, err
	}
	d := &description{}
	return d, w, json.Unmarshal(out, d)
}

func mustDescribe(t *testing.T, p *Pool, change func(*Request)) (*description, *Worker) {
	t.Helper()
	d, w, err := describeWith(p, change)
	if err != nil {
		t.Fatal(err)
	}
	return d, w
}

// describeDirect returns the description of a worker that os/exec has started.
func describeDirect(change func(*exec.Cmd)) (*description, error) {
	c := exec.Command(testutil.Exe())
	c.Args = []string{"describe"}
	c.Env = testutil.HelperEnv(describe)
	c.Stderr = os.Stderr
	if change != nil {
		change(c)
	}
	out, err := c.Output()
	if err != nil {
		return nil, err
	}
	d := &description{}
	return d, json.NewDecoder(bytes.NewReader(out)).Decode(d)
}

// shellOutput runs a script through p and returns its output: a shell, unlike
// a Go program, shows the signals that it inherited as ignored.
func shellOutput(p *Pool, script string, sys *syscall.SysProcAttr) (string, error) {
	out, _, err := output(p, func(r *Request) {
		r.Path, r.Args, r.Env, r.Sys = "/bin/sh", []string{"sh", "-c", script}, os.Environ(), sys
	})
	return strings.TrimSpace(string(out)), err
}
