// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package tfork

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"

	"github.com/seed-cb702d51/tfork-go/internal/sys"
)

// stdio appends the worker's descriptors 0, 1 and 2 to fds.
func (c *Cmd) stdio(fds []uintptr) ([]uintptr, error) {
	var null nullDevice
	stdin, err := c.stdin(&null)
	if err != nil {
		return nil, err
	}
	stdout, err := c.output(c.Stdout, &null)
	if err != nil {
		return nil, err
	}
	stderr := stdout
	if c.Stderr == nil || !sameWriter(c.Stderr, c.Stdout) {
		if stderr, err = c.output(c.Stderr, &null); err != nil {
			return nil, err
		}
	}
	return append(fds, stdin, stdout, stderr), nil
}

// sameWriter compares two writers, of which either may be incomparable.
func sameWriter(a, b io.Writer) (same bool) {
	defer func() {
		if recover() != nil {
			same = false
		}
	}()
	return a == b
}

func (c *Cmd) stdin(null *nullDevice) (uintptr, error) {
	if c.Stdin == nil {
		return null.open(c)
	}
	if f, ok := c.Stdin.(*os.File); ok {
		return blockingFD(f), nil
	}
	r, w, err := newPipe(workerReads)
	if err != nil {
		return 0, err
	}
	c.childFDs = append(c.childFDs, r)
	c.pipes = append(c.pipes, w)
	in := c.Stdin // not c: a read that never ends must not hold on to that
	c.copies = append(c.copies, func() error {
		_, err := io.Copy(w, in)
		if workerStoppedReading(err) {
			err = nil
		}
		if closeErr := w.Close(); err == nil {
			err = closeErr
		}
		return err
	})
	return uintptr(r), nil
}

// output returns the descriptor that the worker writes to for w.
func (c *Cmd) output(w io.Writer, null *nullDevice) (uintptr, error) {
	if w == nil {
		return null.open(c)
	}
	if f, ok := w.(*os.File); ok {
		return blockingFD(f), nil
	}
	pw, pr, err := newPipe(workerWrites)
	if err != nil {
		return 0, err
	}
	c.childFDs = append(c.childFDs, pw)
	c.pipes = append(c.pipes, pr)
	c.copies = append(c.copies, func() error {
		_, err := io.Copy(w, pr)
		pr.Close() // the copy may have ended at an error of w
		return err
	})
	return uintptr(pw), nil
}

// blockingFD lends the number of a file that the user hands on. Fd makes the
// description blocking, which is right here: the worker shares it, and must
// not be surprised by EAGAIN.
func blockingFD(f *os.File) uintptr { return f.Fd() }

// workerStoppedReading tells whether err is the worker's way of saying that it
// has seen enough of its standard input.
func workerStoppedReading(err error) bool {
	var pe *fs.PathError
	return errors.As(err, &pe) && pe.Op == "write" && pe.Path == stdinPipeName && pe.Err == syscall.EPIPE
}

// nullDevice opens the null device at most once for all three descriptors.
type nullDevice struct {
	fd   childFD
	have bool
}

func (n *nullDevice) open(c *Cmd) (uintptr, error) {
	if !n.have {
		fd, err := openNull()
		if err != nil {
			return 0, err
		}
		n.fd, n.have = fd, true
		c.childFDs = append(c.childFDs, fd)
	}
	return uintptr(n.fd), nil
}

func closeAll(closers []io.Closer) {
	for _, c := range closers {
		c.Close()
	}
}

// StdinPipe returns a pipe that will be the worker's standard input. Wait
// closes it; the caller may close it sooner, and must if the worker does not
// end before that.
func (c *Cmd) StdinPipe() (io.WriteCloser, error) {
	if c.Stdin != nil {
		return nil, errors.New("exec: Stdin already set")
	}
	if c.Process != nil {
		return nil, errors.New("exec: StdinPipe after process started")
	}
	pr, pw, err := osPipe()
	if err != nil {
		return nil, err
	}
	c.Stdin = pr
	c.childFDs = append(c.childFDs, pr)
	c.pipes = append(c.pipes, pw)
	return pw, nil
}

// StdoutPipe returns a pipe that will be the worker's standard output. Wait
// closes it, so all reads must have ended before Wait is called; with Run it
// cannot be used.
func (c *Cmd) StdoutPipe() (io.ReadCloser, error) {
	return c.outputPipe("Stdout", &c.Stdout)
}

// StderrPipe is [Cmd.StdoutPipe] for the standard error.
func (c *Cmd) StderrPipe() (io.ReadCloser, error) {
	return c.outputPipe("Stderr", &c.Stderr)
}

func (c *Cmd) outputPipe(name string, field *io.Writer) (io.ReadCloser, error) {
	if *field != nil {
		return nil, errors.New("exec: " + name + " already set")
	}
	if c.Process != nil {
		return nil, errors.New("exec: " + name + "Pipe after process started")
	}
	pr, pw, err := osPipe()
	if err != nil {
		return nil, err
	}
	*field = pw
	c.childFDs = append(c.childFDs, pw)
	c.pipes = append(c.pipes, pr)
	return pr, nil
}

// osPipe is os.Pipe, with an error where the program's first one would end it.
func osPipe() (r, w *os.File, err error) {
	if err := sys.OpenPoller(); err != nil {
		return nil, nil, fmt.Errorf("tfork: %w", err)
	}
	return os.Pipe()
}
