// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package batch

import (
	"errors"
	"fmt"
	"io"

	"github.com/seed-cb702d51/tfork-go/cmd/tforkdemo/internal/jobs"
)

// Source gives the commands of a batch.
type Source interface {
	// Next returns the next command; false is the end. It may block.
	Next() (Command, bool)
	// Total is how many there will be in all, -1 if that is not known. A source
	// with a total never blocks.
	Total() int
}

// Copies is a source that gives the same command n times.
func Copies(n int, args []string) Source {
	return &list{total: n, at: func(int) Command { return Command{Args: args} }}
}

// ReadAll is a source of the jobs in r, all of which are read at once: then
// the total is known, and mistakes come to light before anything runs. The
// error is that of reading.
func ReadAll(r *jobs.Reader) (Source, error) {
	var all []Command
	for {
		c, err := nextJob(r)
		switch {
		case errors.Is(err, io.EOF):
			return &list{total: len(all), at: func(i int) Command { return all[i] }}, nil
		case err != nil:
			return nil, err
		}
		all = append(all, c)
	}
}

// list is a source with a total.
type list struct {
	next, total int
	at          func(i int) Command
}

func (l *list) Total() int { return l.total }

func (l *list) Next() (Command, bool) {
	if l.next == l.total {
		return Command{}, false
	}
	l.next++
	return l.at(l.next - 1), true
}

// Stream is a source of the jobs in r, read as they are needed: for input that
// somebody is still writing. An error of reading is its last command.
func Stream(r *jobs.Reader) Source { return &stream{r: r} }

type stream struct {
	r    *jobs.Reader
	done bool
}

func (s *stream) Total() int { return -1 }

func (s *stream) Next() (Command, bool) {
	if s.done {
		return Command{}, false
	}
	c, err := nextJob(s.r)
	switch {
	case errors.Is(err, io.EOF):
		return Command{}, false
	case err != nil:
		s.done = true
		c.Err = fmt.Errorf("reading the jobs: %w", err)
	}
	return c, true
}

// nextJob turns a broken line into a command that says so.
func nextJob(r *jobs.Reader) (Command, error) {
	j, err := r.Next()
	var broken *jobs.Error
	if errors.As(err, &broken) {
		return Command{Line: broken.Line, Err: err}, nil
	}
	return Command{Args: j.Args, Line: j.Line}, err
}
