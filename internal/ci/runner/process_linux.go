// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-cb702d51/tfork-go/internal/ci/plan"
)

// process is one run under way.
type process struct {
	run     plan.Run
	plan    *plan.Plan // that it is part of
	records *plan.Writer
}

// execute runs it from start to the last remains.
func (p *process) execute() error {
	if err := p.records.Send(plan.Record{Kind: plan.Start, Run: p.run.ID}); err != nil {
		return err
	}
	tmp, err := p.makeTmp()
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	began := time.Now()
	pid, err := p.start(tmp, w)
	w.Close()
	if err != nil {
		return err
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		p.passOn(r)
	}()
	end := plan.Record{Kind: plan.End, Run: p.run.ID}
	end.Status, end.TimedOut = p.wait(pid)
	end.Took = time.Since(began)
	end.Left = clearRemains(p.plan.Settle)
	select {
	case <-read: // every holder of the pipe's other end is dead
	case <-time.After(dying):
	}
	return p.records.Send(end)
}

// makeTmp makes the run's own folder for temporary files. Its path is short:
// tests bind sockets below it. Everybody may look into it: tests that give up
// their privileges start programs from there.
func (p *process) makeTmp() (string, error) {
	tmp, err := os.MkdirTemp("/tmp", "r")
	if err != nil {
		return "", err
	}
	if err := os.Chmod(tmp, 0o755); err != nil {
		return "", err
	}
	if p.run.User == plan.User {
		return tmp, os.Chown(tmp, plan.Nobody, plan.Nobody)
	}
	return tmp, nil
}

// start starts the process, and returns its pid. It stays in our process group, as
// below go test: gVisor counts a group of its own as orphaned as soon as one process
// ends whose waiter was killed, and a session is an orphaned group from the beginning.
// It hangs up on such a group when somebody ends while another member is stopped.
// Below the first process of a machine, which Linux does not count as a connection, it
// is the other way round: only a session of its own is never hung up on.
func (p *process) start(tmp string, out *os.File) (int, error) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		return 0, err
	}
	defer null.Close()
	argv, err := p.argv()
	if err != nil {
		return 0, err
	}
	attr := &os.ProcAttr{
		Dir:   p.run.Dir,
		Env:   append(append([]string{}, p.run.Env...), "TMPDIR="+tmp, "HOME="+tmp),
		Files: []*os.File{null, out, out},
		Sys:   &syscall.SysProcAttr{Setsid: p.plan.Sessions},
	}
	if p.run.User == plan.User {
		done, err := p.becomeUser(attr.Sys)
		if err != nil {
			return 0, err
		}
		defer done()
	}
	proc, err := os.StartProcess(argv[0], argv, attr)
	if err != nil {
		return 0, err
	}
	// We wait for every child by ourselves, not through os.Process.
	defer proc.Release()
	return proc.Pid, nil
}

// argv is the program with its arguments, behind ourselves where it is to run
// under a profile.
func (p *process) argv() ([]string, error) {
	if p.run.Profile == "" {
		return p.run.Argv, nil
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return append([]string{self, "under", p.run.Profile}, p.run.Argv...), nil
}

// becomeUser makes the process start as the ordinary user, in that user's
// cgroup if there may be one. done is for after the start.
func (p *process) becomeUser(sys *syscall.SysProcAttr) (done func(), err error) {
	sys.Credential = &syscall.Credential{Uid: plan.Nobody, Gid: plan.Nobody}
	if p.plan.Cgroup == "" {
		return func() {}, nil
	}
	dir, err := delegate(p.plan.Cgroup)
	if err != nil {
		return nil, err
	}
	sys.UseCgroupFD, sys.CgroupFD = true, dir
	return func() { unix.Close(dir) }, nil
}

// wait reaps every child until the process itself is among them, and kills it
// when its time is over.
func (p *process) wait(pid int) (status string, timedOut bool) {
	late := make(chan struct{})
	timer := time.AfterFunc(p.run.Timeout, func() {
		close(late)
		unix.Kill(pid, unix.SIGKILL)
	})
	defer timer.Stop()
	for {
		var ws unix.WaitStatus
		got, err := unix.Wait4(-1, &ws, 0, nil)
		switch {
		case err == unix.EINTR:
		case err != nil:
			return fmt.Sprintf("wait4: %v", err), false
		case got == pid:
			select {
			case <-late:
				timedOut = true
			default:
			}
			return statusText(ws), timedOut
		}
	}
}

func statusText(ws unix.WaitStatus) string {
	if ws.Signaled() {
		return "signal: " + ws.Signal().String()
	}
	return fmt.Sprintf("exit status %d", ws.ExitStatus())
}

// passOn sends the output on, in pieces of whole lines.
func (p *process) passOn(r io.Reader) {
	br := bufio.NewReaderSize(r, 64<<10)
	for {
		line, err := br.ReadString('\n')
		if line != "" {
			p.records.Send(plan.Record{Kind: plan.Out, Run: p.run.ID, Text: strings.ToValidUTF8(line, "?")})
		}
		if err != nil {
			return
		}
	}
}
