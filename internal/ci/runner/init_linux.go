// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/seed-cb702d51/tfork-go/internal/ci/vm"
)

// mounts are what a system has after its start.
var mounts = []struct{ kind, dir, options string }{
	{"proc", "/proc", ""},
	{"sysfs", "/sys", ""},
	{"devtmpfs", "/dev", ""},
	{"devpts", "/dev/pts", "newinstance,ptmxmode=0666,mode=0620"},
	{"tmpfs", "/dev/shm", "mode=1777"},
	{"tmpfs", "/tmp", "mode=1777"},
	{"tmpfs", "/run", "mode=0755"},
	{"cgroup2", cgroupRoot, ""},
}

const cgroupRoot = "/sys/fs/cgroup"

// initMain is the first process of a virtual machine. It never returns as long
// as the kernel lets it end the machine.
func initMain() error {
	err := bringUp()
	if err == nil {
		err = report()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "init:", err)
	}
	unix.Sync()
	// The machine has no ACPI to switch it off: it restarts, and QEMU, told not
	// to reboot, ends.
	return os.NewSyscallError("reboot", unix.Reboot(unix.LINUX_REBOOT_CMD_RESTART))
}

// report executes the plan with the second serial line as its output: the
// first belongs to the kernel.
func report() error {
	tty, err := os.OpenFile(vm.RecordDevice, os.O_WRONLY|unix.O_NOCTTY, 0)
	if err != nil {
		return err
	}
	defer tty.Close()
	// None is as good as 0: the first start of this machine.
	first, _ := strconv.Atoi(os.Getenv(vm.FirstRunKey))
	return execute(vm.PlanPath, first, tty)
}

// bringUp makes a usable system of an empty one.
func bringUp() error {
	// The kernel starts us in session 0, which no other process ever has.
	if _, err := unix.Setsid(); err != nil {
		return os.NewSyscallError("setsid", err)
	}
	for _, m := range mounts {
		if err := os.MkdirAll(m.dir, 0o755); err != nil {
			return err
		}
		if err := unix.Mount(m.kind, m.dir, m.kind, 0, m.options); err != nil {
			return fmt.Errorf("mount %s on %s: %w", m.kind, m.dir, err)
		}
	}
	// The pty multiplexer of our own devpts instance.
	os.Remove("/dev/ptmx")
	if err := os.Symlink("pts/ptmx", "/dev/ptmx"); err != nil {
		return err
	}
	for name, to := range map[string]string{"fd": "fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2"} {
		if err := os.Symlink("/proc/self/"+to, "/dev/"+name); err != nil {
			return err
		}
	}
	if err := unix.Sethostname([]byte("matrix")); err != nil {
		return os.NewSyscallError("sethostname", err)
	}
	if err := loopbackUp(); err != nil {
		return err
	}
	return enableControllers(cgroupRoot)
}

// loopbackUp switches lo on; the kernel gives it 127.0.0.1 by itself.
func loopbackUp() error {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer unix.Close(s)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	lo.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return os.NewSyscallError("ioctl(SIOCSIFFLAGS)", unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, lo))
}

// enableControllers hands every controller of a group on to its sub-groups,
// one by one: the kernel refuses a list as a whole if one entry is refused.
func enableControllers(dir string) error {
	b, err := os.ReadFile(dir + "/cgroup.controllers")
	if err != nil {
		return err
	}
	for name := range strings.FieldsSeq(string(b)) {
		if err := os.WriteFile(dir+"/cgroup.subtree_control", []byte("+"+name), 0); err != nil {
			return fmt.Errorf("controller %s: %w", name, err)
		}
	}
	return nil
}
