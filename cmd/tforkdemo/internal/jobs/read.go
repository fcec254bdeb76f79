// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package jobs

import (
	"bufio"
	"errors"
	"fmt"
	"io"
)

// MaxLine is the length of the longest line that is read: more than the kernel
// takes as arguments.
const MaxLine = 8 << 20

// Job is one accepted line.
type Job struct {
	// Line counts from 1.
	Line int
	// Args are the words, at least one.
	Args []string
}

// Error is one line that was not accepted.
type Error struct {
	// Name is the file's, Line counts from 1.
	Name string
	Line int
	Err  error
}

// Error returns "FILE:LINE:COLUMN: what", the form that editors jump to.
func (e *Error) Error() string {
	var split *SplitError
	if errors.As(e.Err, &split) {
		return fmt.Sprintf("%s:%d:%d: %v", e.Name, e.Line, split.Column, split.Err)
	}
	return fmt.Sprintf("%s:%d: %v", e.Name, e.Line, e.Err)
}

// Unwrap returns what is wrong with the line.
func (e *Error) Unwrap() error { return e.Err }

// Reader reads jobs from text.
type Reader struct {
	name string
	in   *bufio.Reader
	line int
}

// NewReader returns a Reader of in; name is for its errors.
func NewReader(name string, in io.Reader) *Reader {
	return &Reader{name: name, in: bufio.NewReader(in)}
}

// Next returns the next job. A broken line is an [*Error], after which Next can
// be called again; io.EOF is the end, any other error is the reader's. It
// blocks as the reader does.
func (r *Reader) Next() (Job, error) {
	for {
		text, err := r.readLine()
		var args []string
		switch {
		case err == nil:
			args, err = Split(text)
		case !errors.Is(err, ErrTooLong):
			return Job{}, err
		}
		if err != nil {
			return Job{}, &Error{Name: r.name, Line: r.line, Err: err}
		}
		if len(args) > 0 { // else blank, or a comment
			return Job{Line: r.line, Args: args}, nil
		}
	}
}

// readLine returns the next line without its end, which is \n, \r\n or the end
// of the text. Of a line that is too long nothing is kept.
func (r *Reader) readLine() (string, error) {
	var line []byte
	tooLong := false
	for begun := false; ; begun = true {
		piece, err := r.in.ReadSlice('\n')
		if !begun && len(piece) > 0 {
			r.line++
		}
		if tooLong = tooLong || len(line)+len(piece) > MaxLine; tooLong {
			line = nil
		} else {
			line = append(line, piece...)
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err != nil && (!errors.Is(err, io.EOF) || len(piece) == 0 && !begun):
			return "", err
		case tooLong:
			return "", ErrTooLong
		}
		return string(trimEnd(line)), nil
	}
}

func trimEnd(line []byte) []byte {
	for _, end := range []byte("\n\r") {
		if n := len(line); n > 0 && line[n-1] == end {
			line = line[:n-1]
		}
	}
	return line
}
