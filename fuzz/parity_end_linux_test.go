// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package fuzz

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-cb702d51/tfork-go/internal/testutil"
)

func script(s string) func(*trial) { return runs(nil, "/bin/sh", "-c", s) }

var endScenarios = []scenario{
	{"exit 0", script("exit 0")},
	{"exit 1", script("exit 1")},
	{"exit 255", script("exit 255")},
	{"exit 256", runs(func(f fields) { *f.Args = []string{"sh", "-c", "exit 256"} }, "/bin/sh")},
	{"SIGTERM", script("kill -TERM $$")},
	{"SIGKILL", script("kill -KILL $$")},
	{"SIGPIPE", script("kill -PIPE $$")},
	{"real-time signal", script("kill -40 $$")},
	{"core dump", script("ulimit -c unlimited; cd /tmp; kill -ABRT $$")},
	{"no core dump", script("ulimit -c 0; kill -SEGV $$")},
	{"stopped and continued", func(r *trial) {
		c := r.command(plainly, "./pause")
		r.noteErr("Start", c.Start())
		r.noteErr("stop", c.process().Signal(unix.SIGSTOP))
		r.note("stopped", testutil.PollFor(patience, func() bool { return testutil.StateOf(pidOf(c)) == "T" }))
		r.noteErr("continue", c.process().Signal(unix.SIGCONT))
		r.noteErr("signal 0", c.process().Signal(unix.Signal(0)))
		r.noteErr("bad signal", c.process().Signal(unix.Signal(99)))
		r.noteErr("terminate", c.process().Signal(os.Interrupt))
		r.noteErr("Wait", c.Wait())
		r.noteErr("Signal", c.process().Signal(unix.SIGTERM))
		r.noteErr("Kill", c.process().Kill())
		r.noteState(c)
	}},
	{"killed while stopped", func(r *trial) {
		c := r.command(plainly, "./pause")
		r.noteErr("Start", c.Start())
		r.noteErr("stop", c.process().Signal(unix.SIGSTOP))
		r.noteErr("Kill", c.process().Kill())
		r.noteErr("Wait", c.Wait())
	}},
}

// grandchild leaves a process behind that holds all streams, until its
// descriptor 3 is at end of file.
const grandchild = "cat <&3 >&3 & "

// heldOpen gives the worker a descriptor 3 that is open until release.
func (r *trial) heldOpen(f fields) (release func()) {
	reader, writer := r.pipe()
	// The grandchild writes to what it reads from only in name: it never reads.
	*f.ExtraFiles = []*os.File{reader}
	r.defers(func() { reader.Close() })
	return func() { writer.Close() }
}

// held runs a script whose grandchild keeps the streams open, with WaitDelay.
func held(ctx func() (context.Context, context.CancelFunc), s string, edit func(f fields)) func(*trial) {
	return func(r *trial) {
		c, cancel := ctx()
		defer cancel()
		cmd := r.command(c, "/bin/sh", "-c", s)
		release := r.heldOpen(cmd.fields())
		defer release()
		*cmd.fields().WaitDelay = 5 * time.Millisecond
		edit(cmd.fields())
		r.noteErr("Run", cmd.Run())
		r.noteState(cmd)
	}
}

func noContext() (context.Context, context.CancelFunc) { return nil, func() {} }

func withCancel() (context.Context, context.CancelFunc) {
	return context.WithCancel(context.Background())
}

// shortly is done soon after the start.
func shortly() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), 30*time.Millisecond)
}

func buffered(f fields) { *f.Stdout, *f.Stderr = new(bytes.Buffer), new(bytes.Buffer) }

func piped(f fields) { *f.Stdin, *f.Stdout = neverEnding{}, new(bytes.Buffer) }

// neverEnding is a standard input that goes on for ever.
type neverEnding struct{}

func (neverEnding) Read(p []byte) (int, error) { return len(p), nil }

// canceled runs the program that does nothing, ends its context, and kills it
// if cancel does not.
func canceled(cancel func(c command) error, delay time.Duration) func(*trial) {
	return func(r *trial) {
		ctx, stop := context.WithCancel(context.Background())
		defer stop()
		c := r.command(ctx, "./pause")
		called, calls := make(chan struct{}, 9), atomic.Int32{}
		*c.fields().Cancel = func() error {
			defer func() { called <- struct{}{} }()
			calls.Add(1)
			return cancel(c)
		}
		*c.fields().WaitDelay = delay
		r.noteErr("Start", c.Start())
		stop()
		<-called
		if delay == 0 {
			c.process().Kill()
		}
		r.noteErr("Wait", c.Wait())
		r.noteState(c)
		r.note("calls of Cancel", calls.Load())
	}
}

const aMoment = 10 * time.Millisecond

var contextScenarios = []scenario{
	{"background", func(r *trial) {
		r.noteErr("Run", r.command(context.Background(), "/bin/true").Run())
	}},
	{"done before", func(r *trial) {
		ctx, cancel := withCancel()
		cancel()
		c := r.command(ctx, "/bin/true")
		c.StdoutPipe()
		r.noteErr("Run", c.Run())
		r.noteState(c)
	}},
	{"done before, program missing", func(r *trial) {
		ctx, cancel := withCancel()
		cancel()
		r.noteErr("Run", r.command(ctx, "missing-program").Run())
		r.noteErr("Run", r.command(ctx, "./missing").Run())
	}},
	{"deadline passed", func(r *trial) {
		ctx, cancel := context.WithDeadline(context.Background(), time.Unix(1, 0))
		defer cancel()
		r.noteErr("Run", r.command(ctx, "/bin/true").Run())
	}},
	{"cause is not told", func(r *trial) {
		ctx, cancel := context.WithCancelCause(context.Background())
		c := r.command(ctx, "./pause")
		r.noteErr("Start", c.Start())
		cancel(errPlanted)
		r.noteErr("Wait", c.Wait())
	}},
	{"deadline kills", func(r *trial) {
		ctx, cancel := shortly()
		defer cancel()
		c := r.command(ctx, "./pause")
		r.noteErr("Run", c.Run())
		r.noteState(c)
	}},
	{"done after the end", func(r *trial) {
		ctx, cancel := withCancel()
		c := r.command(ctx, "/bin/true")
		r.noteErr("Run", c.Run())
		cancel()
		r.noteErr("Wait", c.Wait())
	}},
	{"Cancel kills", canceled(func(c command) error { return c.process().Kill() }, 0)},
	{"Cancel terminates", canceled(func(c command) error { return c.process().Signal(unix.SIGTERM) }, 10*time.Second)},
	{"Cancel fails", canceled(func(command) error { return errPlanted }, 0)},
	{"Cancel fails, WaitDelay kills", canceled(func(command) error { return errPlanted }, aMoment)},
	{"Cancel does nothing, WaitDelay kills", canceled(func(command) error { return nil }, aMoment)},
	{"Cancel says done", canceled(func(command) error { return os.ErrProcessDone }, 0)},
	{"Cancel says done in other words", canceled(func(command) error { return fmt.Errorf("it is %w", os.ErrProcessDone) }, aMoment)},
	{"Cancel and exit 0", func(r *trial) {
		ctx, cancel := withCancel()
		c := r.command(ctx, "/bin/cat")
		in, _ := c.StdinPipe()
		*c.fields().Cancel = in.Close
		r.noteErr("Start", c.Start())
		cancel()
		r.noteErr("Wait", c.Wait())
		r.noteState(c)
	}},
	{"Cancel and exit 0, error of a writer", func(r *trial) {
		ctx, cancel := withCancel()
		c := r.command(ctx, "/bin/cat")
		in, _ := c.StdinPipe()
		*c.fields().Stdout = &brokenWriter{0}
		*c.fields().Cancel = in.Close
		r.noteErr("Start", c.Start())
		io.WriteString(in, "x")
		cancel()
		r.noteErr("Wait", c.Wait())
	}},
	{"Cancel nil", func(r *trial) {
		ctx, cancel := withCancel()
		c := r.command(ctx, "./pause")
		*c.fields().Cancel = nil
		r.noteErr("Start", c.Start())
		cancel()
		r.noteErr("Kill", c.process().Kill())
		r.noteErr("Wait", c.Wait())
	}},
	{"Cancel nil with WaitDelay", func(r *trial) {
		ctx, cancel := withCancel()
		c := r.command(ctx, "./pause")
		*c.fields().Cancel, *c.fields().WaitDelay = nil, aMoment
		r.noteErr("Start", c.Start())
		cancel()
		r.noteErr("Wait", c.Wait())
	}},
	{"Cancel without context", func(r *trial) {
		c := r.command(plainly, "/bin/true")
		*c.fields().Cancel = func() error { return nil }
		r.noteErr("Run", c.Run())
	}},
	{"WaitDelay not needed", func(r *trial) {
		c := r.command(plainly, "/bin/sh", "-c", "head -c 100000 /dev/zero")
		var b bytes.Buffer
		*c.fields().Stdout, *c.fields().WaitDelay = &b, time.Minute
		r.noteErr("Run", c.Run())
		r.note("output", content(b.Bytes()))
	}},
	{"grandchild holds outputs", held(noContext, grandchild+"exit 0", buffered)},
	{"grandchild holds outputs, exit 3", held(noContext, grandchild+"exit 3", buffered)},
	{"grandchild holds outputs, context unused", held(withCancel, grandchild+"exit 0", buffered)},
	{"grandchild holds outputs, context ends", held(shortly, grandchild+"cat <&3", buffered)},
	{"grandchild holds input and output", held(noContext, grandchild+"exit 0", piped)},
	{"grandchild holds files only", held(noContext, grandchild+"exit 0", func(fields) {})},
	{"grandchild, Cancel nil, context ends", held(shortly, grandchild+"cat <&3", both(buffered, func(f fields) { *f.Cancel = nil }))},
	{"grandchild, Cancel fails, context ends", held(shortly, grandchild+"cat <&3", both(buffered, func(f fields) {
		*f.Cancel = func() error { return errPlanted }
	}))},
	{"stdin never ends, WaitDelay", func(r *trial) {
		c := r.command(plainly, "/bin/true")
		reader, _ := r.pipe()
		*c.fields().Stdin, *c.fields().WaitDelay = struct{ io.Reader }{reader}, aMoment
		r.defers(func() { reader.Close() })
		done := make(chan struct{})
		r.noteErr("Start", c.Start())
		// The copy is in Read of a reader that WaitDelay cannot close: nothing
		// but its end helps, as in os/exec. That must come after WaitDelay, which
		// begins when Wait has collected the worker.
		go func() {
			defer close(done)
			testutil.PollFor(patience, func() bool { return !testutil.Exists(pidOf(c)) })
			time.Sleep(50 * aMoment)
			reader.SetDeadline(time.Unix(1, 0))
		}()
		r.noteErr("Wait", c.Wait())
		<-done
	}},
}

// noAttributes asks for nothing.
func noAttributes(f fields) { *f.Sys = &syscall.SysProcAttr{} }

func attributes(sys syscall.SysProcAttr) func(f fields) {
	return func(f fields) { copied := sys; *f.Sys = &copied }
}

// viewsOf looks at a worker with attributes, and fails as it should.
func viewsOf(sys syscall.SysProcAttr) func(*trial) { return views(attributes(sys)) }

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
	{"UseCgroupFD of nothing", viewsOf(syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: -1})},
	{"PidFD", func(r *trial) {
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
	}},
	{"PidFD of a command that does not start", func(r *trial) {
		fd := -7
		c := r.command(plainly, "./missing")
		attributes(syscall.SysProcAttr{PidFD: &fd})(c.fields())
		r.noteErr("Start", c.Start())
		r.note("closed", fd < 0)
	}},
}

var misuseScenarios = []scenario{
	{"Wait before Start", func(r *trial) { r.noteErr("Wait", r.command(plainly, "/bin/true").Wait()) }},
	{"Start twice", func(r *trial) {
		c := r.command(plainly, "/bin/true")
		r.noteErr("Start", c.Start())
		r.noteErr("Start", c.Start())
		r.noteErr("Run", c.Run())
		r.noteErr("Wait", c.Wait())
		r.noteErr("Start", c.Start())
	}},
	{"Start after a failed Start", func(r *trial) {
		c := r.command(plainly, "./missing")
		r.noteErr("Start", c.Start())
		*c.fields().Path = "/bin/true"
		r.noteErr("Start", c.Start())
		r.noteErr("Wait", c.Wait())
	}},
	{"Wait twice", func(r *trial) {
		c := r.command(plainly, "./exit3")
		r.noteErr("Run", c.Run())
		r.noteErr("Wait", c.Wait())
		r.noteErr("Wait", c.Wait())
		r.noteState(c)
	}},
	{"Output with streams set", func(r *trial) {
		c := r.command(plainly, "/bin/true")
		*c.fields().Stdout = io.Discard
		_, err := c.Output()
		r.noteErr("Output", err)
		_, err = c.CombinedOutput()
		r.noteErr("CombinedOutput", err)
		c = r.command(plainly, "/bin/true")
		*c.fields().Stderr = io.Discard
		_, err = c.CombinedOutput()
		r.noteErr("CombinedOutput", err)
	}},
	{"Output twice", func(r *trial) {
		c := r.command(plainly, "/bin/true")
		_, err := c.Output()
		r.noteErr("Output", err)
		_, err = c.Output()
		r.noteErr("Output", err)
	}},
	{"pipes with streams set", func(r *trial) {
		c := r.command(plainly, "/bin/true")
		*c.fields().Stdin, *c.fields().Stdout, *c.fields().Stderr = strings.NewReader(""), io.Discard, io.Discard
		_, err := c.StdinPipe()
		r.noteErr("StdinPipe", err)
		_, err = c.StdoutPipe()
		r.noteErr("StdoutPipe", err)
		_, err = c.StderrPipe()
		r.noteErr("StderrPipe", err)
	}},
	{"pipes twice", func(r *trial) {
		c := r.command(plainly, "/bin/true")
		for range 2 {
			_, err := c.StdinPipe()
			r.noteErr("StdinPipe", err)
			_, err = c.StdoutPipe()
			r.noteErr("StdoutPipe", err)
			_, err = c.StderrPipe()
			r.noteErr("StderrPipe", err)
		}
		r.noteErr("Run", c.Run())
	}},
	{"pipes after Start", func(r *trial) {
		c := r.command(plainly, "/bin/true")
		r.noteErr("Run", c.Run())
		_, err := c.StdinPipe()
		r.noteErr("StdinPipe", err)
		_, err = c.StdoutPipe()
		r.noteErr("StdoutPipe", err)
		_, err = c.StderrPipe()
		r.noteErr("StderrPipe", err)
	}},
	{"zero Cmd", func(r *trial) {
		c := r.command(plainly, "x")
		f := c.fields()
		*f.Path, *f.Args, *f.Err = "", nil, nil
		r.noteCmd(c)
		r.noteErr("Run", c.Run())
		r.noteErr("Err", *f.Err)
	}},
	{"String of all kinds", func(r *trial) {
		for _, edit := range []func(f fields){
			func(fields) {},
			func(f fields) { *f.Args = []string{"only"} },
			func(f fields) { *f.Path = "elsewhere" },
			func(f fields) { *f.Err = errPlanted },
		} {
			for _, name := range []string{"true", "missing-program", "/bin/true", ""} {
				c := r.command(plainly, name, "a", "b c", "")
				edit(c.fields())
				r.note("String", c.String())
			}
		}
	}},
	{"signal of another type", func(r *trial) {
		c := r.command(plainly, "./pause")
		r.noteErr("Start", c.Start())
		r.note("refused", c.process().Signal(odd{}) != nil)
		c.process().Kill()
		r.noteErr("Wait", c.Wait())
	}},
}

// odd is a signal that no system knows.
type odd struct{}

func (odd) String() string { return "odd" }
func (odd) Signal()        {}
