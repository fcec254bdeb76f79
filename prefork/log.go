// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package prefork

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime/debug"
	"sync"
)

// logHandler makes the handler of a process's logger.
var logHandler struct {
	sync.RWMutex
	make func(io.Writer) slog.Handler
}

// SetLogHandler says how every process of the program logs; the default is a
// text handler with level Info. The writer is the log file or standard error:
// one record is one call of Write, so that processes do not mix their lines.
// Call it before tfork.Dispatch.
func SetLogHandler(f func(io.Writer) slog.Handler) {
	logHandler.Lock()
	defer logHandler.Unlock()
	logHandler.make = f
}

// newLogger returns a process's logger.
func newLogger(w io.Writer, role, service string, instance int) *slog.Logger {
	logHandler.RLock()
	defer logHandler.RUnlock()
	var h slog.Handler = slog.NewTextHandler(w, nil)
	if logHandler.make != nil {
		h = logHandler.make(w)
	}
	log := slog.New(h).With("role", role, "pid", os.Getpid())
	if service != "" {
		log = log.With("service", service)
	}
	if instance >= 0 {
		log = log.With("instance", instance)
	}
	return log
}

// logOutput is where a process logs to: a file that can be opened again by its
// path, or standard error.
type logOutput struct {
	path   string
	stacks bool // takeStacks was called
	mu     sync.RWMutex
	file   *os.File // nil: standard error
}

// openLog opens the file; an empty path is standard error.
func openLog(path string) (*logOutput, error) {
	o := &logOutput{path: path}
	return o, o.reopen(nil)
}

// inheritLog uses a file that was handed down: the process may have no right
// to open it.
func inheritLog(path string, f *os.File) *logOutput { return &logOutput{path: path, file: f} }

// reopen opens the file again, which the administrator has moved away, unless it
// was handed down as f, which is taken. If that fails the old one stays in use.
func (o *logOutput) reopen(f *os.File) (err error) {
	if o.path == "" {
		return nil
	}
	if f == nil {
		if f, err = os.OpenFile(o.path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o640); err != nil {
			return fmt.Errorf("log file: %w", err)
		}
	}
	o.mu.Lock()
	old := o.file
	o.file = f
	o.mu.Unlock()
	if old != nil {
		old.Close()
	}
	if o.stacks {
		return o.setCrashOutput()
	}
	return nil
}

// takeStacks makes the runtime print what a crash prints, the stacks of a hung
// worker for one, to the log file too. It changes the whole process, so it is
// for those that this package starts, before they do anything else.
func (o *logOutput) takeStacks() error {
	o.stacks = true
	return o.setCrashOutput()
}

func (o *logOutput) setCrashOutput() error {
	o.mu.RLock()
	defer o.mu.RUnlock()
	if o.file == nil {
		return nil // standard error gets it anyway
	}
	return debug.SetCrashOutput(o.file, debug.CrashOptions{})
}

// Write writes to the present file.
func (o *logOutput) Write(b []byte) (int, error) {
	o.mu.RLock()
	defer o.mu.RUnlock()
	if o.file == nil {
		return os.Stderr.Write(b)
	}
	return o.file.Write(b)
}

// lend calls f with the present file, or nil; it must not be closed.
func (o *logOutput) lend(f func(*os.File)) {
	o.mu.RLock()
	defer o.mu.RUnlock()
	f(o.file)
}

// close closes the file; what is logged later goes to standard error.
func (o *logOutput) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.file != nil {
		o.file.Close()
		o.file = nil
	}
}
