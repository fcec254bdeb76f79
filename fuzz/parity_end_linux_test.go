// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package fuzz

import (
	"os"

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
