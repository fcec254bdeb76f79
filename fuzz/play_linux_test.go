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
	"testing/iotest"
	"time"

	"golang.org/x/sys/unix"
)

// play carries s out.
func (s spec) play(r *trial) {
	p := &player{spec: s, trial: r, called: make(chan struct{}, 9)}
	ctx := p.context()
	defer p.cancel()
	p.c = r.command(ctx, p.program(), s.Args...)
	if s.Program == "script" {
		p.c = r.command(ctx, "/bin/sh", append([]string{"-c", p.script()}, s.Args...)...)
	}
	p.fill(ctx)
	for _, m := range s.Before {
		p.misuse("before", m)
	}
	p.run()
	for _, m := range s.After {
		p.misuse("after", m)
	}
	p.outcome()
}

// player is one play of a spec.
type player struct {
	spec
	*trial
	c       command
	cancel  context.CancelFunc
	called  chan struct{} // Cancel was called
	buffers []*bytes.Buffer
	stdin   io.WriteCloser
	readers []reader
}

// reader is our end of an output pipe.
type reader struct {
	io.ReadCloser
	part bool // it is closed before all is read
}

func (r reader) read(to *trial) {
	if r.part {
		b := make([]byte, 10)
		n, err := io.ReadFull(r, b)
		to.noteErr("ReadFull "+content(b[:n]), err)
		to.noteErr("Close", r.Close())
		return
	}
	b, err := io.ReadAll(r)
	to.noteErr("ReadAll", err)
	to.note("read", content(b))
}

func (p *player) program() string {
	if p.Program == "pause" {
		return "./pause"
	}
	return p.Program
}

// script writes what it was given, reads its input if there is an end to that,
// and writes as much as it shall.
func (p *player) script() string {
	var b strings.Builder
	if p.Tells {
		b.WriteString("/bin/cat /proc/self/environ; /bin/readlink /proc/self/cwd; ")
	}
	ends := p.Stdin == "bytes" || p.Stdin == "pipe" || p.Stdin == "fails" || p.Stdin == "file"
	switch {
	case p.Reads == "closes":
		b.WriteString("exec <&-; ")
	case ends && p.Reads == "discards":
		b.WriteString("cat >/dev/null; ")
	case ends && p.Reads == "echoes":
		b.WriteString("cat; ")
	}
	if p.OutBytes > 0 {
		fmt.Fprintf(&b, "head -c %d /dev/zero; ", p.OutBytes)
	}
	if p.ErrBytes > 0 {
		fmt.Fprintf(&b, "head -c %d /dev/zero >&2; ", p.ErrBytes)
	}
	return b.String() + p.End
}

// context returns the command's context, nil for none.
func (p *player) context() (ctx context.Context) {
	p.cancel = func() {}
	switch p.Context {
	case "background":
		return context.Background()
	case "live", "ends":
		ctx, p.cancel = context.WithCancel(context.Background())
	case "done":
		ctx, p.cancel = context.WithCancel(context.Background())
		p.cancel()
	case "past":
		ctx, p.cancel = context.WithDeadline(context.Background(), time.Unix(1, 0))
	}
	return ctx
}

// fill sets the fields.
func (p *player) fill(ctx context.Context) {
	f := p.c.fields()
	*f.Env, *f.Dir = p.Env, p.Dir
	if p.NoArgs {
		*f.Args = nil
	}
	if p.HasSys {
		sys := p.Sys
		*f.Sys = &sys
	}
	for _, kind := range p.Extra {
		*f.ExtraFiles = append(*f.ExtraFiles, p.file(kind))
	}
	*f.WaitDelay = map[string]time.Duration{"short": aMoment, "long": time.Minute}[p.Delay]
	p.fillCancel(ctx, f)
	p.fillStdin(f)
	p.fillOutput(f.Stdout, p.Stdout, p.c.StdoutPipe)
	if p.Stderr == "same" {
		*f.Stderr = *f.Stdout
	} else {
		p.fillOutput(f.Stderr, p.Stderr, p.c.StderrPipe)
	}
}

func (p *player) fillCancel(ctx context.Context, f fields) {
	if ctx == nil || p.Cancel == "default" {
		return
	}
	if p.Cancel == "nil" {
		*f.Cancel = nil
		return
	}
	*f.Cancel = func() error {
		defer func() { p.called <- struct{}{} }()
		switch p.Cancel {
		case "fails":
			return errPlanted
		case "done":
			return os.ErrProcessDone
		case "term":
			return p.c.process().Signal(unix.SIGTERM)
		}
		return nil
	}
}

func (p *player) file(kind string) *os.File {
	switch kind {
	case "data", "file":
		return p.open("data", os.O_RDONLY)
	case "closed":
		f := p.open("data", os.O_RDONLY)
		f.Close()
		return f
	case "pipe":
		_, w := p.trial.pipe()
		return w
	case "full":
		return p.open("/dev/full", os.O_WRONLY)
	case "stderr":
		return os.Stderr
	}
	return nil
}

func (p *player) fillStdin(f fields) {
	switch p.Stdin {
	case "bytes":
		*f.Stdin = strings.NewReader(long(p.StdinBytes))
	case "fails":
		*f.Stdin = iotest.ErrReader(errPlanted)
	case "file", "closed", "nil file":
		*f.Stdin = p.file(p.Stdin)
	case "pipe", "pipe left", "pipe closed":
		w, err := p.c.StdinPipe()
		p.noteErr("StdinPipe", err)
		if p.Stdin == "pipe closed" {
			p.noteErr("Close", w.Close())
		}
		p.stdin = w
	}
}

func (p *player) fillOutput(field *io.Writer, kind string, pipe func() (io.ReadCloser, error)) {
	switch kind {
	case "buffer":
		b := new(bytes.Buffer)
		p.buffers = append(p.buffers, b)
		*field = b
	case "incomparable":
		*field = slice{}
	case "file", "closed", "nil file", "full":
		*field = p.file(kind)
	case "pipe", "pipe closed", "pipe part":
		r, err := pipe()
		p.noteErr("pipe", err)
		if kind == "pipe closed" {
			p.noteErr("Close", r.Close())
		} else {
			p.readers = append(p.readers, reader{r, kind == "pipe part"})
		}
	}
}

// run starts the command and sees it through.
func (p *player) run() {
	if len(p.readers) > 0 || p.Stdin == "pipe" {
		p.Method = "Start" // somebody must use the pipes
	}
	switch p.Method {
	case "Run":
		p.noteErr("Run", p.c.Run())
		return
	case "Output", "CombinedOutput":
		p.misuse("run", p.Method)
		// A refused one has started nothing: see it through.
		if p.c.state() == nil && pidOf(p.c) == 0 {
			p.noteErr("Run", p.c.Run())
		}
		return
	}
	err := p.c.Start()
	p.noteErr("Start", err)
	if err != nil {
		p.noteErr("Wait", p.c.Wait())
		return
	}
	if p.Program == "pause" {
		p.note("view", strings.Join(view(pidOf(p.c)), "\n"))
		p.endPause()
	}
	if p.Stdin == "pipe" {
		io.WriteString(p.stdin, "some") // the worker may be gone by now
		p.stdin.Close()
	}
	for _, r := range p.readers {
		r.read(p.trial)
	}
	p.noteErr("Wait", p.c.Wait())
}

// endPause ends the program that does nothing: by the context if it can.
func (p *player) endPause() {
	if p.Context != "ends" {
		p.noteErr("Kill", p.c.process().Kill())
		return
	}
	p.cancel()
	if p.Cancel != "default" && p.Cancel != "nil" {
		<-p.called
	}
	if p.Cancel == "default" || p.Delay == "short" || p.Cancel == "term" {
		return // ends by itself
	}
	p.noteErr("Kill", p.c.process().Kill())
}

// misuse calls a method at the wrong moment, or once more.
func (p *player) misuse(when, method string) {
	what := when + " " + method
	if when == "after" && pidOf(p.c) == 0 && strings.HasSuffix(method, "Pipe") {
		return // its descriptors would stay: nothing is going to close them
	}
	pipe := func(c io.Closer, err error) {
		p.noteErr(what, err)
		if err == nil {
			c.Close() // nobody would use it
		}
	}
	switch method {
	case "Wait":
		p.noteErr(what, p.c.Wait())
	case "StdinPipe":
		w, err := p.c.StdinPipe()
		pipe(w, err)
	case "StdoutPipe":
		r, err := p.c.StdoutPipe()
		pipe(r, err)
	case "StderrPipe":
		r, err := p.c.StderrPipe()
		pipe(r, err)
	case "String":
		if len(*p.c.fields().Args) > 0 { // difference "String without Args"
			p.note(what, p.c.String())
		}
	case "Environ":
		p.note(what, p.c.Environ())
	case "Start":
		p.noteErr(what, p.c.Start())
	case "Run":
		p.noteErr(what, p.c.Run())
	case "Output":
		b, err := p.c.Output()
		p.noteErr(what+" "+content(b), err)
	case "CombinedOutput":
		b, err := p.c.CombinedOutput()
		p.noteErr(what+" "+content(b), err)
	default:
		p.signal(what, method)
	}
}

// signal sends one to a worker that has ended.
func (p *player) signal(what, method string) {
	sig, ok := map[string]unix.Signal{"Kill": unix.SIGKILL, "Signal 0": 0, "Signal 99": 99}[method]
	if proc := p.c.process(); ok && proc != nil {
		p.noteErr(what, proc.Signal(sig))
	}
}

// outcome notes what is there at the end.
func (p *player) outcome() {
	p.noteState(p.c)
	for _, b := range p.buffers {
		p.note("output", content(b.Bytes()))
	}
}
