// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package fuzz

import (
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/seed-cb702d51/tfork-go/pidfd"
)

// noAttributes asks for nothing.
func noAttributes(f fields) { *f.Sys = &syscall.SysProcAttr{} }

func attributes(sys syscall.SysProcAttr) func(f fields) {
	return func(f fields) { copied := sys; *f.Sys = &copied }
}

// viewsOf looks at a worker with attributes, and fails as it should.
func viewsOf(sys syscall.SysProcAttr) func(*trial) { return views(attributes(sys)) }

// withPidfds plays where there are pidfds: where there are none, clone and the
// waiter tell so in different ways.
func withPidfds(play func(*trial)) func(*trial) {
	return func(r *trial) {
		if pidfd.HaveSet() == nil {
			play(r)
		}
	}
}

var attributeScenarios = []scenario{
	{"none", views(noAttributes)},
	{"Setpgid", viewsOf(syscall.SysProcAttr{Setpgid: true})},
	{"Setpgid into our own", func(r *trial) { viewsOf(syscall.SysProcAttr{Setpgid: true, Pgid: unix.Getpgrp()})(r) }},
	{"Setpgid into none", viewsOf(syscall.SysProcAttr{Setpgid: true, Pgid: 1 << 30})},
	{"Setsid", viewsOf(syscall.SysProcAttr{Setsid: true})},
	{"Setsid and Setpgid", viewsOf(syscall.SysProcAttr{Setsid: true, Setpgid: true})},
	{"Credential of our own", func(r *trial) {
		viewsOf(syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(os.Getuid()), Gid: uint32(os.Getgid()), NoSetGroups: true}})(r)
	}},
	{"Credential of another", viewsOf(syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 12345, Gid: 23456, Groups: []uint32{7, 8}}})},
	{"Credential, program not allowed", func(r *trial) {
		os.Mkdir("private", 0o700)
		c := r.command(plainly, "private/x")
		attributes(syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 12345, Gid: 23456}})(c.fields())
		r.noteErr("Run", c.Run())
	}},
	{"Chroot missing", viewsOf(syscall.SysProcAttr{Chroot: "/missing"})},
	{"Chroot without the program", viewsOf(syscall.SysProcAttr{Chroot: "/proc"})},
	{"Chroot relative with absolute Dir", views(both(attributes(syscall.SysProcAttr{Chroot: ".."}), dir("/sub")))},
	{"Chroot relative with absolute Dir, then a bad terminal", func(r *trial) {
		sys := syscall.SysProcAttr{Chroot: "sub", Setsid: true, Setctty: true}
		runs(both(attributes(sys), dir("/")), "/bin/sh")(r)
	}},
	{"Chroot with NUL", viewsOf(syscall.SysProcAttr{Chroot: "a\x00b"})},
	{"Chroot of all", viewsOf(syscall.SysProcAttr{Chroot: "/"})},
	{"Chroot and Dir", views(both(attributes(syscall.SysProcAttr{Chroot: "/"}), dir("/usr")))},
	{"Foreground without terminal", viewsOf(syscall.SysProcAttr{Foreground: true, Ctty: 0})},
	{"Setctty without session", viewsOf(syscall.SysProcAttr{Setctty: true})},
	{"Setctty of no terminal", viewsOf(syscall.SysProcAttr{Setsid: true, Setctty: true})},
	{"Setctty out of range", viewsOf(syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 99})},
	{"Setctty and Foreground", viewsOf(syscall.SysProcAttr{Setctty: true, Foreground: true})},
	{"Noctty", viewsOf(syscall.SysProcAttr{Noctty: true})},
	{"Pdeathsig", viewsOf(syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM})},
	{"namespaces", viewsOf(syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWUTS | unix.CLONE_NEWIPC})},
	{"unshared namespaces", viewsOf(syscall.SysProcAttr{Unshareflags: unix.CLONE_NEWUTS})},
	{"pid namespace", viewsOf(syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID})},
	{"user namespace", func(r *trial) {
		viewsOf(syscall.SysProcAttr{
			Cloneflags:  unix.CLONE_NEWUSER,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		})(r)
	}},
	{"ambient capability", viewsOf(syscall.SysProcAttr{AmbientCaps: []uintptr{unix.CAP_NET_BIND_SERVICE}})},
	{"ambient capability that the kernel does not know", viewsOf(syscall.SysProcAttr{AmbientCaps: []uintptr{63}})},
	{"UseCgroupFD of nothing", func(r *trial) {
		if pidfd.HaveIntoCgroup() == nil { // without, it depends on what is looked at first
			viewsOf(syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: -1})(r)
		}
	}},
	{"PidFD", withPidfds(func(r *trial) {
		fd := -1
		c := r.command(plainly, "./exit3")
		attributes(syscall.SysProcAttr{PidFD: &fd})(c.fields())
		r.noteErr("Start", c.Start())
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		r.noteErr(fmt.Sprint("flags ", flags), err)
		status, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
		r.noteErr(fmt.Sprint("status flags ", status), err)
		r.noteErr("Wait", c.Wait())
		r.noteErr("signal after", unix.PidfdSendSignal(fd, 0, nil, 0))
		r.noteErr("close", unix.Close(fd))
	})},
	{"PidFD of a command that does not start", withPidfds(func(r *trial) {
		fd := -7
		c := r.command(plainly, "./missing")
		attributes(syscall.SysProcAttr{PidFD: &fd})(c.fields())
		r.noteErr("Start", c.Start())
		r.note("closed", fd < 0)
	})},
}
