// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package tfork

import (
	"bytes"
	"errors"
	"fmt"
)

// Output runs the worker and returns its standard output. If Stderr is nil and
// the worker did not end with exit(0), the [ExitError] holds the beginning and
// the end of its standard error.
func (c *Cmd) Output() ([]byte, error) {
	if c.Stdout != nil {
		return nil, errors.New("exec: Stdout already set")
	}
	var stdout bytes.Buffer
	c.Stdout = &stdout
	var stderr *excerpt
	if c.Stderr == nil {
		stderr = &excerpt{limit: 32 << 10}
		c.Stderr = stderr
	}
	err := c.Run()
	var ee *ExitError
	if stderr != nil && errors.As(err, &ee) {
		ee.Stderr = stderr.bytes()
	}
	return stdout.Bytes(), err
}

// CombinedOutput runs the worker and returns its standard output and standard
// error as one.
func (c *Cmd) CombinedOutput() ([]byte, error) {
	if c.Stdout != nil {
		return nil, errors.New("exec: Stdout already set")
	}
	if c.Stderr != nil {
		return nil, errors.New("exec: Stderr already set")
	}
	var b bytes.Buffer
	c.Stdout = &b
	c.Stderr = &b
	err := c.Run()
	return b.Bytes(), err
}

// excerpt keeps the first limit bytes written to it, and the last.
type excerpt struct {
	limit   int
	head    []byte
	tail    []byte // a ring once it is full, beginning at next
	next    int
	omitted int64
}

// Write never fails.
func (e *excerpt) Write(p []byte) (int, error) {
	n := len(p)
	room := min(len(p), e.limit-len(e.head))
	e.head = append(e.head, p[:room]...)
	p = p[room:]
	if over := len(p) - e.limit; over > 0 {
		e.omitted += int64(over)
		p = p[over:]
	}
	room = min(len(p), e.limit-len(e.tail))
	e.tail = append(e.tail, p[:room]...)
	for p = p[room:]; len(p) > 0; {
		copied := copy(e.tail[e.next:], p)
		p = p[copied:]
		e.omitted += int64(copied)
		e.next = (e.next + copied) % e.limit
	}
	return n, nil
}

func (e *excerpt) bytes() []byte {
	out := append([]byte(nil), e.head...)
	if e.omitted > 0 {
		out = fmt.Appendf(out, "\n... omitting %d bytes ...\n", e.omitted)
	}
	out = append(out, e.tail[e.next:]...)
	return append(out, e.tail[:e.next]...)
}
