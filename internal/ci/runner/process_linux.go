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

// settle is how long what a run left behind may take to leave by itself.
const settle = 10 * time.Second

// process is one run under way.
type process struct {
	plan    plan.Run
	records *plan.Writer
	cgroup  string
}

// execute runs it from start to the last remains.
func (p *process) execute() error {
	if err := p.records.Send(plan.Record{Kind: plan.Start, Run: p.plan.ID}); err != nil {
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
	end := plan.Record{Kind: plan.End, Run: p.plan.ID}
	end.Status, end.TimedOut = p.wait(pid)
	end.Took = time.Since(began)
	end.Left = clearRemains(settle)
	<-read // every holder of the pipe's other end is dead
	return p.records.Send(end)
}

// makeTmp makes the run's own folder for temporary files. Its path is short:
// tests bind sockets below it.
func (p *process) makeTmp() (string, error) {
	tmp, err := os.MkdirTemp("/tmp", "r")
	if err != nil || p.plan.User != plan.User {
		return tmp, err
	}
	return tmp, os.Chown(tmp, plan.Nobody, plan.Nobody)
}

// start starts the process, and returns its pid.
func (p *process) start(tmp string, out *os.File) (int, error) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		return 0, err
	}
	defer null.Close()
	argv := p.plan.Argv
	if p.plan.Profile != "" {
		self, err := os.Executable()
		if err != nil {
			return 0, err
		}
		argv = append([]string{self, "under", p.plan.Profile}, argv...)
	}
	attr := &os.ProcAttr{
		Dir:   p.plan.Dir,
		Env:   append(append([]string{}, p.plan.Env...), "TMPDIR="+tmp, "HOME="+tmp),
		Files: []*os.File{null, out, out},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	}
	if p.plan.User == plan.User {
		attr.Sys.Credential = &syscall.Credential{Uid: plan.Nobody, Gid: plan.Nobody}
		if p.cgroup != "" {
			dir, err := delegate(p.cgroup)
			if err != nil {
				return 0, err
			}
			defer dir.Close()
			attr.Sys.UseCgroupFD = true
			attr.Sys.CgroupFD = int(fdOf(dir))
		}
	}
	proc, err := os.StartProcess(argv[0], argv, attr)
	if err != nil {
		return 0, err
	}
	defer proc.Release()
	return proc.Pid, nil
}

// wait reaps every child until the process itself is among them, and kills it
// when its time is over.
func (p *process) wait(pid int) (status string, timedOut bool) {
	late := make(chan struct{})
	timer := time.AfterFunc(p.plan.Timeout, func() {
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
			p.records.Send(plan.Record{Kind: plan.Out, Run: p.plan.ID, Text: strings.ToValidUTF8(line, "?")})
		}
		if err != nil {
			return
		}
	}
}
