// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package tfork

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/seed-cb702d51/tfork-go/internal/boot"
	"github.com/seed-cb702d51/tfork-go/internal/role"
)

// registry holds the worker functions of this program.
var registry struct {
	sync.RWMutex
	funcs map[string]func(*Worker) int
}

// dispatched says that Dispatch ran, so that a re-executed copy of this
// program plays its role.
var dispatched atomic.Bool

// Register makes run available to [Func] under name. Every process of the
// program must register the same functions before [Dispatch]: in an init
// function, or at the start of main. It panics if name is empty, longer than
// 255 bytes, contains a NUL byte or is taken, and if run is nil.
//
// In the worker run is called on the main goroutine. What it returns is the
// exit status: its low eight bits, and 255 for any other non-zero value whose
// low eight bits are 0. A panic is Go's usual exit status 2 with the stack on
// standard error.
func Register(name string, run func(w *Worker) int) {
	switch {
	case name == "" || len(name) > boot.MaxName || strings.IndexByte(name, 0) >= 0:
		panic(fmt.Sprintf("tfork: Register: name %q must have 1 to %d bytes and no NUL", name, boot.MaxName))
	case run == nil:
		panic("tfork: Register: nil function for " + name)
	}
	registry.Lock()
	defer registry.Unlock()
	if registry.funcs[name] != nil {
		panic("tfork: Register: name is taken: " + name)
	}
	if registry.funcs == nil {
		registry.funcs = map[string]func(*Worker) int{}
	}
	registry.funcs[name] = run
}

// lookupFunc returns the function registered under name, or nil.
func lookupFunc(name string) func(*Worker) int {
	registry.RLock()
	defer registry.RUnlock()
	return registry.funcs[name]
}

// Func returns a Cmd that runs the registered function in a process of its
// own: a new execution of this very program, also if its file was replaced or
// deleted meanwhile. The arguments reach it as [Worker.Args].
//
// Everything that a Cmd can do for a program it does for a function too. Start
// fails with [ErrNotRegistered], or with [ErrNoDispatch] in a program that
// never called [Dispatch]. The function's program needs /proc; inside a chroot
// (SysProcAttr) that means /proc there.
//
// A changed [Cmd.Path] runs the function of another file of the same program:
// a newer version, after an update. That program must register the name too;
// one that does not call Dispatch ends as it likes.
func Func(name string, arg ...string) *Cmd {
	return &Cmd{Path: role.Exe, Args: append([]string{name}, arg...), function: name}
}

// FuncContext is [Func] with a context, as [CommandContext] is [Command].
func FuncContext(ctx context.Context, name string, arg ...string) *Cmd {
	return Func(name, arg...).withContext(ctx)
}

// checkFunc tells whether a worker function can be started.
func checkFunc(name string) error {
	switch {
	case lookupFunc(name) == nil:
		return fmt.Errorf("%w: %q", ErrNotRegistered, name)
	case !dispatched.Load():
		return ErrNoDispatch
	case role.Secure():
		return fmt.Errorf("tfork: worker function %q: %w", name, errSecure)
	}
	return nil
}
