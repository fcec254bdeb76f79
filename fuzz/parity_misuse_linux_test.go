// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package fuzz

import (
	"io"
	"strings"
)

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
