// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package prefork

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"runtime"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/seed-cb702d51/tfork-go/prefork/config"
)

// rlimits are the resources of [config.RLimitNames].
var rlimits = map[string]int{
	"as":      unix.RLIMIT_AS,
	"core":    unix.RLIMIT_CORE,
	"cpu":     unix.RLIMIT_CPU,
	"data":    unix.RLIMIT_DATA,
	"fsize":   unix.RLIMIT_FSIZE,
	"memlock": unix.RLIMIT_MEMLOCK,
	"nofile":  unix.RLIMIT_NOFILE,
	"nproc":   unix.RLIMIT_NPROC,
	"stack":   unix.RLIMIT_STACK,
}

// applyLimits limits the process that calls it. The order matters: a user is
// looked up before descriptors are scarce, and privileges are given up last,
// because a negative nice and a limit above the present hard one need them.
func applyLimits(st config.Settings, instance int) error {
	to, err := identityOf(st)
	if err != nil {
		return err
	}
	if st.Nice != 0 {
		if err := eachThread(func(tid int) error { return unix.Setpriority(unix.PRIO_PROCESS, tid, st.Nice) }); err != nil {
			return fmt.Errorf("nice = %d: %w", st.Nice, os.NewSyscallError("setpriority", err))
		}
	}
	if len(st.CPUs) > 0 {
		cpu := st.CPUs[max(0, instance)%len(st.CPUs)]
		var set unix.CPUSet
		set.Set(cpu)
		if err := eachThread(func(tid int) error { return unix.SchedSetaffinity(tid, &set) }); err != nil {
			return fmt.Errorf("cpus: %d: %w", cpu, os.NewSyscallError("sched_setaffinity", err))
		}
	}
	for name, value := range st.RLimits {
		if err := unix.Setrlimit(rlimits[name], &unix.Rlimit{Cur: value, Max: value}); err != nil {
			return fmt.Errorf("rlimit-%s = %d: %w", name, value, os.NewSyscallError("setrlimit", err))
		}
	}
	return to.become()
}

// eachThread does something to all threads: nice and affinity belong to
// threads on Linux, and new ones take after those that start them. A thread
// that was started meanwhile is found by a second look.
func eachThread(f func(tid int) error) error {
	for range 2 {
		tasks, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return err
		}
		for _, task := range tasks {
			tid, _ := strconv.Atoi(task.Name())
			if err := f(tid); err != nil && !errors.Is(err, unix.ESRCH) {
				return err
			}
		}
	}
	return nil
}

// checkLimits refuses what a worker could only say in its log, again and again.
func checkLimits(st config.Settings) error {
	if err := checkIdentity(st); err != nil || len(st.CPUs) == 0 {
		return err
	}
	result := make(chan error)
	go func() {
		runtime.LockOSThread() // for good: the thread ends with this goroutine
		result <- tryCPUs(st.CPUs)
	}()
	return <-result
}

// tryCPUs pins the calling thread to one CPU after the other: a number may be
// missing in the machine or in the process's cpuset, and only a trial tells.
func tryCPUs(cpus []int) error {
	var before unix.CPUSet
	if unix.SchedGetaffinity(0, &before) != nil {
		return nil // a sandbox does not let it try: the workers will
	}
	defer unix.SchedSetaffinity(0, &before) // the first thread does not end
	for _, cpu := range cpus {
		var set unix.CPUSet
		set.Set(cpu)
		if err := unix.SchedSetaffinity(0, &set); err == unix.EINVAL {
			return fmt.Errorf("cpus: %d: there is no such CPU for this process: see Cpus_allowed_list in /proc/self/status", cpu)
		}
	}
	return nil
}

// identity is who a process is to be: real, effective and saved ids alike, with
// no supplementary groups.
type identity struct{ uid, gid int }

// checkIdentity says whether the user and the group of the settings exist, and
// whether this process may become them, while somebody is there to read the
// answer.
func checkIdentity(st config.Settings) error {
	to, err := identityOf(st)
	if err != nil || to.needsNothing() {
		return err
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if os.Geteuid() == 0 && unix.Capget(&header, &data[0]) != nil {
		return nil // a sandbox does not let it tell: the workers will
	}
	// Of another user than root, a change of user leaves a worker its capabilities,
	// and with them the way back.
	const all = 1<<unix.CAP_SETUID | 1<<unix.CAP_SETGID | 1<<unix.CAP_KILL // to end a hung one
	if os.Geteuid() != 0 || data[0].Effective&all != all {
		return fmt.Errorf("user = %q, group = %q: %w: start the server as root, with CAP_SETUID, CAP_SETGID and CAP_KILL, or leave both out", st.User, st.Group, os.ErrPermission)
	}
	return nil
}

// needsNothing tells whether the process is to stay who it is.
func (to *identity) needsNothing() bool { return to == nil || os.Geteuid() != 0 && to.already() }

// identityOf is that of the settings, or nil if they name none.
func identityOf(st config.Settings) (*identity, error) {
	if st.User == "" && st.Group == "" {
		return nil, nil
	}
	to := &identity{uid: os.Getuid(), gid: os.Getgid()}
	if st.User != "" {
		u, err := findUser(st.User)
		if err != nil {
			return nil, fmt.Errorf("user = %q: %w", st.User, err)
		}
		to.uid, to.gid = id(u.Uid), id(u.Gid)
	}
	if st.Group != "" {
		g, err := findGroup(st.Group)
		if err != nil {
			return nil, fmt.Errorf("group = %q: %w", st.Group, err)
		}
		to.gid = id(g.Gid)
	}
	return to, nil
}

// become changes all threads of the process, for good: it must not be possible
// to come back. Who is that user already needs no privilege for it.
func (to *identity) become() error {
	if to.needsNothing() {
		return nil
	}
	for _, step := range []struct {
		call string
		do   func() error
	}{
		{"setgroups", dropGroups},
		{"setresgid", func() error { return syscall.Setresgid(to.gid, to.gid, to.gid) }},
		{"setresuid", func() error { return syscall.Setresuid(to.uid, to.uid, to.uid) }},
	} {
		if err := step.do(); err != nil {
			return fmt.Errorf("user %d, group %d: %w", to.uid, to.gid, os.NewSyscallError(step.call, err))
		}
	}
	if !to.already() || to.uid != 0 && syscall.Setuid(0) == nil {
		return fmt.Errorf("user %d, group %d: the process still has its old privileges", to.uid, to.gid)
	}
	// A change of user closes /proc/PID and core files to that very user, for
	// fear of what the process read before. This one has only just begun.
	return os.NewSyscallError("prctl", unix.Prctl(unix.PR_SET_DUMPABLE, 1, 0, 0, 0))
}

// dropGroups gives the supplementary groups up. Who has none needs no right to,
// which a user namespace may refuse even to its root.
func dropGroups() error {
	if groups, err := syscall.Getgroups(); err == nil && len(groups) == 0 {
		return nil
	}
	return syscall.Setgroups(nil)
}

// already tells whether the process is who it is to be.
func (to *identity) already() bool {
	r, e, s := unix.Getresuid()
	rg, eg, sg := unix.Getresgid()
	return r == to.uid && e == to.uid && s == to.uid && rg == to.gid && eg == to.gid && sg == to.gid
}

// findUser takes a name or a number.
func findUser(name string) (*user.User, error) {
	if _, err := strconv.ParseUint(name, 10, 32); err != nil {
		return user.Lookup(name)
	}
	if u, err := user.LookupId(name); err == nil {
		return u, nil
	}
	return &user.User{Uid: name, Gid: name}, nil // a number needs no entry
}

// findGroup takes a name or a number.
func findGroup(name string) (*user.Group, error) {
	if _, err := strconv.ParseUint(name, 10, 32); err != nil {
		return user.LookupGroup(name)
	}
	return &user.Group{Gid: name}, nil
}

// id is a number that was checked before.
func id(number string) int {
	n, _ := strconv.ParseUint(number, 10, 32)
	return int(n)
}
