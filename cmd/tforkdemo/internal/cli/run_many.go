// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"io"
	"os"
	"time"

	"github.com/seed-cb702d51/tfork-go/cmd/tforkdemo/internal/batch"
	"github.com/seed-cb702d51/tfork-go/cmd/tforkdemo/internal/jobs"
	"github.com/seed-cb702d51/tfork-go/cmd/tforkdemo/internal/report"
	"github.com/seed-cb702d51/tfork-go/tfork"
)

// many is one batch and its report.
type many struct {
	app      *app
	options  *runOptions
	progress *report.Progress
	summary  report.Summary
	said     map[string]bool // messages of copies, each told once
}

// runMany runs a batch and reports on it. Its error is wrong usage, which
// includes a jobs file that cannot be read, or an exit code.
func (a *app) runMany(o *runOptions, args []string) error {
	source, err := a.source(o, args)
	if err != nil {
		return err
	}
	if len(args) > 0 {
		// Not found once is not found for every copy: say it once, start nothing.
		if cmd := o.command(args); cmd.Err != nil {
			a.printf("%s", explain(cmd.Err))
			return exitWith(startCode(cmd.Err))
		}
	}
	if err := warmUp(); err != nil {
		a.printf("%s", explain(err))
		return exitWith(startCode(err))
	}
	group, err := o.limits.open()
	if err != nil {
		a.printf("%s", explain(err))
		return exitWith(exitNotStarted)
	}
	defer group.close()
	m := &many{app: a, options: o, said: map[string]bool{}}
	m.progress = report.NewProgress(a.stderr, source.Total(), isTerminal(a.stderr))
	signals := catch(batchSignals)
	defer signals.stop()
	b := batch.Batch{
		Source: source, Parallel: o.parallel, Grace: o.grace, Cgroup: group.options(),
		Make: m.command, Started: m.started, Ended: m.ended, Stops: stopsBatch,
	}
	begin := time.Now()
	m.summary.Stopped = b.Run(signals.c)
	m.summary.Took = time.Since(begin)
	m.progress.Close()
	if err := m.writeSummary(); err != nil {
		a.printf("writing the report: %v", err)
		return exitWith(exitFailed)
	}
	return exitWith(m.code())
}

// warmUp does what must not be done for the first time when descriptors have
// run out: ask what the system can do, and make the Go runtime open its network
// poller, whose failure would end the program.
func warmUp() error {
	if _, err := tfork.Probe(); err != nil {
		return err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	r.Close()
	return w.Close()
}

// source is where the commands come from: copies of one, or lines of a file.
func (a *app) source(o *runOptions, args []string) (batch.Source, error) {
	if o.jobs == "" {
		return batch.Copies(max(o.copies, 1), args), nil
	}
	if o.jobs == "-" {
		return readJobs(jobsName(o.jobs), a.stdin)
	}
	f, err := os.Open(o.jobs)
	if err != nil {
		return nil, err
	}
	if isRegular(f) {
		defer f.Close()
	}
	return readJobs(o.jobs, f)
}

// jobsName is what messages call the jobs file.
func jobsName(file string) string {
	if file == "-" {
		return "standard input"
	}
	return file
}

// readJobs reads a file at once, and from a pipe as things come. The pipe stays
// open until the program ends: somebody may be reading from it until then.
func readJobs(name string, r io.Reader) (batch.Source, error) {
	if f, ok := r.(*os.File); ok && !isRegular(f) {
		return batch.Stream(jobs.NewReader(name, f)), nil
	}
	return batch.ReadAll(jobs.NewReader(name, r))
}

// isRegular tells whether all of f is there to be read now. (A directory's error
// of reading comes now, too.)
func isRegular(f *os.File) bool {
	st, err := f.Stat()
	return err == nil && (st.Mode().IsRegular() || st.IsDir())
}

// command makes one command of the batch. Standard input stays the null device:
// many that read from one terminal or pipe would take each other's lines.
func (m *many) command(args []string) *tfork.Cmd {
	cmd := m.options.command(args)
	cmd.Stdout, cmd.Stderr = m.app.stdout, m.app.stderr
	if m.options.json {
		cmd.Stdout = m.app.stderr
	}
	return cmd
}

// started shows the processes, each command in one line.
func (m *many) started(c batch.Command, p *tfork.Process) {
	if m.options.verbose {
		m.progress.Printf("tforkdemo: %s: %s\n", treeLine(p), shorten(jobs.Quote(c.Args)))
	}
}

// ended takes down one result.
func (m *many) ended(r batch.Result) {
	m.summary.Add(r)
	m.progress.Add()
	if r.Err != nil && r.Err != batch.ErrStopped {
		m.complain(r)
	}
	if m.options.json {
		// An error of writing shows in the summary, which is written the same way.
		report.WriteChild(m.app.stdout, r)
	}
}

// complain says what went wrong, with the line of the jobs file and what to do.
// Copies that fail for the same reason say it once. It is called by the batch's
// own goroutine.
func (m *many) complain(r batch.Result) {
	text := explain(r.Err)
	switch {
	case r.Command.Err != nil: // names its line itself
		m.progress.Printf("tforkdemo: %s\n", text)
	case r.Line > 0:
		m.progress.Printf("tforkdemo: %s:%d: %s: %s\n", jobsName(m.options.jobs), r.Line, shorten(jobs.Quote(r.Args)), text)
	case !m.said[text]:
		m.said[text] = true
		m.progress.Printf("tforkdemo: %s\n", text)
	}
}

// shorten keeps a message within a few lines.
func shorten(command string) string {
	const most = 120
	if r := []rune(command); len(r) > most {
		return string(r[:most]) + "…"
	}
	return command
}

// writeSummary writes what concerns the whole batch.
func (m *many) writeSummary() error {
	if m.options.json {
		return m.summary.WriteJSON(m.app.stdout)
	}
	return m.summary.WriteTable(m.app.stdout)
}

// code is the exit code of the batch: what stopped it says more than how it
// went until then, and a lost status is worse than a failure.
func (m *many) code() int {
	s := &m.summary
	switch {
	case s.Stopped != nil:
		return signalCode(s.Stopped)
	case s.Outcomes[batch.Lost] > 0:
		return exitLost
	case s.Outcomes[batch.OK] < s.Children():
		return exitFailed
	}
	return exitOK
}
