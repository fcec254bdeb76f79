// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package fuzz

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"strings"
	"testing/iotest"
)

// brokenWriter takes limit bytes, and then fails.
type brokenWriter struct{ limit int }

func (w *brokenWriter) Write(p []byte) (int, error) {
	n := min(len(p), w.limit)
	w.limit -= n
	if n < len(p) {
		return n, errPlanted
	}
	return n, nil
}

// lazyWriter takes half of what it is given and calls that success.
type lazyWriter struct{}

func (lazyWriter) Write(p []byte) (int, error) { return len(p) / 2, nil }

// slice is an incomparable writer.
type slice []func()

func (slice) Write(p []byte) (int, error) { return len(p), nil }

// content tells what is in b without printing a MiB of it.
func content(b []byte) string {
	if len(b) > 200 {
		return fmt.Sprintf("%d bytes, crc %08x", len(b), crc32.ChecksumIEEE(b))
	}
	return fmt.Sprintf("%q", b)
}

// open opens a file for the time of the trial.
func (r *trial) open(name string, flags int) *os.File {
	f, err := os.OpenFile(name, flags, 0o644)
	r.noteErr("open "+name, err)
	r.defers(func() { f.Close() })
	return f
}

// pipe is os.Pipe for the time of the trial.
func (r *trial) pipe() (reader, writer *os.File) {
	reader, writer, err := os.Pipe()
	r.noteErr("pipe", err)
	r.defers(func() { reader.Close(); writer.Close() })
	return reader, writer
}

// shell runs a script with streams that edit sets, and notes what came out.
func shell(script string, edit func(r *trial, f fields) (outputs []*bytes.Buffer)) func(*trial) {
	return func(r *trial) {
		c := r.command(plainly, "/bin/sh", "-c", script)
		outputs := edit(r, c.fields())
		r.noteErr("Run", c.Run())
		r.noteState(c)
		for i, b := range outputs {
			r.note(fmt.Sprint("output ", i), content(b.Bytes()))
		}
	}
}

// stdin is a script's standard input, whose output is noted.
func stdin(script string, in func(r *trial) io.Reader) func(*trial) {
	return shell(script, func(r *trial, f fields) []*bytes.Buffer {
		var out bytes.Buffer
		*f.Stdin, *f.Stdout = in(r), &out
		return []*bytes.Buffer{&out}
	})
}

// streams are a script's outputs.
func streams(script string, out func(r *trial) (stdout, stderr io.Writer)) func(*trial) {
	return shell(script, func(r *trial, f fields) (outputs []*bytes.Buffer) {
		*f.Stdout, *f.Stderr = out(r)
		for _, w := range []io.Writer{*f.Stdout, *f.Stderr} {
			if b, ok := w.(*bytes.Buffer); ok {
				outputs = append(outputs, b)
			}
		}
		return outputs
	})
}

const (
	speak = "printf out; printf err >&2"
	flood = "head -c 1048576 /dev/zero; head -c 300000 /dev/zero >&2"
)

var stdioScenarios = []scenario{
	{"stdin empty", stdin("cat", func(*trial) io.Reader { return nil })},
	{"stdin bytes", stdin("cat", func(*trial) io.Reader { return strings.NewReader("hello") })},
	{"stdin a MiB", stdin("cat", func(*trial) io.Reader { return strings.NewReader(long(1 << 20)) })},
	{"stdin not read", stdin("exit 0", func(*trial) io.Reader { return strings.NewReader(long(1 << 20)) })},
	{"stdin not read, exit 1", stdin("exit 1", func(*trial) io.Reader { return strings.NewReader(long(1 << 20)) })},
	{"stdin fails", stdin("cat", func(*trial) io.Reader {
		return io.MultiReader(strings.NewReader("some"), iotest.ErrReader(errPlanted))
	})},
	{"stdin fails, exit 5", stdin("cat; exit 5", func(*trial) io.Reader { return iotest.ErrReader(errPlanted) })},
	{"stdin one byte at a time", stdin("cat", func(*trial) io.Reader { return iotest.OneByteReader(strings.NewReader("slow")) })},
	{"stdin file", stdin("cat", func(r *trial) io.Reader { return r.open("data", os.O_RDONLY) })},
	{"stdin closed file", stdin("cat", func(r *trial) io.Reader {
		f := r.open("data", os.O_RDONLY)
		f.Close()
		return f
	})},
	{"stdin nil file", stdin("cat", func(*trial) io.Reader { return (*os.File)(nil) })},
	{"stdin pipe of our own", stdin("cat", func(r *trial) io.Reader {
		reader, writer := r.pipe()
		writer.WriteString("piped")
		writer.Close()
		return reader
	})},
	{"outputs nil", streams(speak, func(*trial) (io.Writer, io.Writer) { return nil, nil })},
	{"outputs apart", streams(speak, func(*trial) (io.Writer, io.Writer) { return new(bytes.Buffer), new(bytes.Buffer) })},
	{"outputs in one", streams(speak, func(*trial) (io.Writer, io.Writer) { b := new(bytes.Buffer); return b, b })},
	{"outputs large", streams(flood, func(*trial) (io.Writer, io.Writer) { return new(bytes.Buffer), new(bytes.Buffer) })},
	{"outputs large in one", streams(flood, func(*trial) (io.Writer, io.Writer) { b := new(bytes.Buffer); return b, b })},
	{"outputs incomparable", streams(speak, func(*trial) (io.Writer, io.Writer) { s := slice{}; return s, s })},
	{"only stderr", streams(speak, func(*trial) (io.Writer, io.Writer) { return nil, new(bytes.Buffer) })},
	{"writer fails", streams("printf out", func(*trial) (io.Writer, io.Writer) { return &brokenWriter{1}, nil })},
	{"writer fails at once", streams("printf out", func(*trial) (io.Writer, io.Writer) { return &brokenWriter{0}, nil })},
	{"writer fails, exit 1", streams("printf out; exit 1", func(*trial) (io.Writer, io.Writer) { return &brokenWriter{0}, nil })},
	{"writer fails, more follows", streams("printf out; sleep 0.05; trap 'exit 9' PIPE; while printf more; do :; done; exit 9",
		func(*trial) (io.Writer, io.Writer) { return &brokenWriter{0}, nil })},
	{"writer is lazy", streams("printf out", func(*trial) (io.Writer, io.Writer) { return lazyWriter{}, nil })},
	{"both writers fail", streams(speak, func(*trial) (io.Writer, io.Writer) { return &brokenWriter{0}, &brokenWriter{0} })},
	{"file", func(r *trial) {
		f := r.open("output", os.O_RDWR|os.O_CREATE|os.O_TRUNC)
		streams(speak, func(*trial) (io.Writer, io.Writer) { return f, f })(r)
		b, err := os.ReadFile("output")
		r.noteErr("ReadFile", err)
		r.note("file", content(b))
	}},
	{"file opened for reading", streams("printf out || exit 4", func(r *trial) (io.Writer, io.Writer) { return r.open("data", os.O_RDONLY), nil })},
	{"closed file", streams("printf out || exit 4", func(r *trial) (io.Writer, io.Writer) {
		f := r.open("data", os.O_RDONLY)
		f.Close()
		return f, nil
	})},
	{"nil file", streams("printf out || exit 4", func(*trial) (io.Writer, io.Writer) { return (*os.File)(nil), (*os.File)(nil) })},
	{"full device", streams("printf out || exit 4", func(r *trial) (io.Writer, io.Writer) { return r.open("/dev/full", os.O_WRONLY), nil })},
	{"Output", func(r *trial) {
		out, err := r.command(plainly, "/bin/sh", "-c", speak).Output()
		r.noteErr("Output", err)
		r.note("output", content(out))
	}},
	{"Output, exit 1", func(r *trial) {
		out, err := r.command(plainly, "/bin/sh", "-c", speak+"; exit 1").Output()
		r.noteErr("Output", err)
		r.note("output", content(out))
	}},
	{"Output, much on stderr", func(r *trial) {
		out, err := r.command(plainly, "/bin/sh", "-c", flood+"; printf end >&2; exit 1").Output()
		r.noteErr("Output", err)
		r.note("output", content(out))
	}},
	{"Output, 64 KiB on stderr", func(r *trial) {
		_, err := r.command(plainly, "/bin/sh", "-c", "head -c 65536 /dev/zero >&2; exit 1").Output()
		r.noteErr("Output", err)
		_, err = r.command(plainly, "/bin/sh", "-c", "head -c 65537 /dev/zero >&2; exit 1").Output()
		r.noteErr("Output", err)
	}},
	{"Output, Stderr set", func(r *trial) {
		c := r.command(plainly, "/bin/sh", "-c", speak+"; exit 1")
		var b bytes.Buffer
		*c.fields().Stderr = &b
		out, err := c.Output()
		r.noteErr("Output", err)
		r.note("output", content(out)+content(b.Bytes()))
	}},
	{"Output of nothing that runs", func(r *trial) {
		out, err := r.command(plainly, "./missing").Output()
		r.noteErr("Output", err)
		r.note("output", out == nil)
	}},
	{"CombinedOutput", func(r *trial) {
		out, err := r.command(plainly, "/bin/sh", "-c", speak+"; exit 2").CombinedOutput()
		r.noteErr("CombinedOutput", err)
		r.note("output", content(out))
	}},
	{"StdinPipe", func(r *trial) {
		c := r.command(plainly, "/bin/cat")
		in, err := c.StdinPipe()
		r.noteErr("StdinPipe", err)
		var b bytes.Buffer
		*c.fields().Stdout = &b
		r.noteErr("Start", c.Start())
		n, err := io.WriteString(in, "hello")
		r.noteErr(fmt.Sprint("Write ", n), err)
		r.noteErr("Close", in.Close())
		r.noteErr("Close again", in.Close())
		r.noteErr("Wait", c.Wait())
		_, err = io.WriteString(in, "more")
		r.noteErr("Write", err)
		r.note("output", content(b.Bytes()))
	}},
	{"StdinPipe not closed", func(r *trial) {
		c := r.command(plainly, "/bin/true")
		in, err := c.StdinPipe()
		r.noteErr("StdinPipe", err)
		r.noteErr("Run", c.Run())
		_, err = io.WriteString(in, "late")
		r.noteErr("Write", err)
	}},
	{"StdinPipe, worker gone", func(r *trial) {
		c := r.command(plainly, "./pause")
		in, err := c.StdinPipe()
		r.noteErr("StdinPipe", err)
		r.noteErr("Start", c.Start())
		r.noteErr("Kill", c.process().Kill())
		_, err = in.Write(make([]byte, 1<<20)) // more than the pipe holds: ends when the worker does
		r.noteErr("Write", err)
		r.noteErr("Wait", c.Wait())
	}},
	{"StdoutPipe and StderrPipe", func(r *trial) {
		c := r.command(plainly, "/bin/sh", "-c", "head -c 1048576 /dev/zero; printf err >&2")
		out, err := c.StdoutPipe()
		r.noteErr("StdoutPipe", err)
		errs, err := c.StderrPipe()
		r.noteErr("StderrPipe", err)
		r.noteErr("Start", c.Start())
		for _, p := range []io.Reader{out, errs} {
			b, err := io.ReadAll(p)
			r.noteErr("ReadAll", err)
			r.note("output", content(b))
		}
		r.noteErr("Wait", c.Wait())
		_, err = out.Read(make([]byte, 1))
		r.noteErr("Read", err)
		r.noteErr("Close", out.Close())
		r.noteState(c)
	}},
	{"StdoutPipe closed before Start", func(r *trial) {
		c := r.command(plainly, "/bin/sh", "-c", "printf out")
		out, err := c.StdoutPipe()
		r.noteErr("StdoutPipe", err)
		r.noteErr("Close", out.Close())
		r.noteErr("Run", c.Run())
		r.noteState(c)
	}},
	{"StdinPipe closed before Start", func(r *trial) {
		c := r.command(plainly, "/bin/cat")
		in, err := c.StdinPipe()
		r.noteErr("StdinPipe", err)
		r.noteErr("Close", in.Close())
		r.noteErr("Run", c.Run())
	}},
	{"pipes of a command that does not start", func(r *trial) {
		c := r.command(plainly, "./missing")
		in, _ := c.StdinPipe()
		out, _ := c.StdoutPipe()
		errs, _ := c.StderrPipe()
		r.noteErr("Start", c.Start())
		_, err := in.Write([]byte("x"))
		r.noteErr("Write", err)
		for _, p := range []io.Reader{out, errs} {
			_, err := p.Read(make([]byte, 1))
			r.noteErr("Read", err)
		}
		r.noteErr("Wait", c.Wait())
	}},
	{"views of pipes", func(r *trial) {
		c := r.command(plainly, "./pause")
		c.StdinPipe()
		c.StdoutPipe()
		c.StderrPipe()
		r.noteView(c)
	}},
	{"views of copies", views(func(f fields) {
		*f.Stdin, *f.Stdout, *f.Stderr = strings.NewReader("x"), new(bytes.Buffer), new(bytes.Buffer)
	})},
	{"views of one copy", views(func(f fields) { b := new(bytes.Buffer); *f.Stdout, *f.Stderr = b, b })},
}

// extra gives the worker files, and looks at what it got.
func extra(files func(r *trial) []*os.File) func(*trial) {
	return func(r *trial) {
		fs := files(r)
		views(func(f fields) { *f.ExtraFiles = fs })(r)
	}
}

var fileScenarios = []scenario{
	{"none", extra(func(*trial) []*os.File { return []*os.File{} })},
	{"one", extra(func(r *trial) []*os.File { return []*os.File{r.open("data", os.O_RDONLY)} })},
	{"nil between", extra(func(r *trial) []*os.File {
		return []*os.File{nil, r.open("data", os.O_RDONLY), nil, r.open("sub", os.O_RDONLY), nil}
	})},
	{"the same twice", extra(func(r *trial) []*os.File {
		f := r.open("data", os.O_RDONLY)
		return []*os.File{f, f, f}
	})},
	{"closed", extra(func(r *trial) []*os.File {
		f := r.open("data", os.O_RDONLY)
		f.Close()
		return []*os.File{f}
	})},
	{"pipes", extra(func(r *trial) []*os.File { a, b := r.pipe(); return []*os.File{b, a} })},
	{"our own standard streams", extra(func(*trial) []*os.File { return []*os.File{os.Stderr, os.Stdout, os.Stdin} })},
	{"append mode", extra(func(r *trial) []*os.File {
		return []*os.File{r.open("appended", os.O_WRONLY|os.O_CREATE|os.O_APPEND)}
	})},
	{"600", extra(func(r *trial) []*os.File {
		f := r.open("data", os.O_RDONLY)
		files := make([]*os.File, 600)
		for i := range files {
			if i%7 != 0 {
				files[i] = f
			}
		}
		return files
	})},
}
