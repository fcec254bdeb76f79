// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package feature

import (
	"errors"
	"sync"
)

// ErrNotSupported is what every [Error] is, for errors.Is. The public packages
// re-export this very value.
var ErrNotSupported = errors.New("not supported")

// Error says that this system conclusively lacks a feature.
type Error struct {
	// Name is the feature, in the words of its man page.
	Name string
	// Since is the first kernel that has it ("Linux 6.15"), for a person.
	Since string
	// Reason is what the system answered, or nil.
	Reason error
}

// Error returns "NAME: not supported (needs SINCE): REASON".
func (e *Error) Error() string {
	s := e.Name + ": not supported"
	if e.Since != "" {
		s += " (needs " + e.Since + ")"
	}
	if e.Reason != nil {
		s += ": " + e.Reason.Error()
	}
	return s
}

// Is makes an Error both [ErrNotSupported] and [errors.ErrUnsupported].
func (e *Error) Is(target error) bool {
	return target == ErrNotSupported || target == errors.ErrUnsupported
}

// Unwrap returns the reason.
func (e *Error) Unwrap() error { return e.Reason }

// absent marks a probe's negative answer until the Probe adds its name.
type absent struct{ reason error }

func (a absent) Error() string { return a.reason.Error() }

// Absent is what a test function returns when the answer proves that the
// feature is missing. Any other error means that it could not tell.
func Absent(reason error) error { return absent{reason} }

// Probe is one question to the system. Make it with [New].
type Probe struct {
	name, since string
	test        func() error

	mu     sync.Mutex
	sure   bool
	answer error
}

// New returns a probe that has not asked yet. test answers nil, [Absent] or
// any other error for "could not tell".
func New(name, since string, test func() error) *Probe {
	return &Probe{name: name, since: since, test: test}
}

// Name returns the feature's name.
func (p *Probe) Name() string { return p.name }

// Since returns the first kernel that has the feature, for a person.
func (p *Probe) Since() string { return p.since }

// Have answers nil if the feature works, an [*Error] if it conclusively does
// not, and another error if that could not be told (asked again next time).
func (p *Probe) Have() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.sure {
		return p.answer
	}
	err := p.test()
	var a absent
	switch {
	case err == nil:
		p.sure = true
	case errors.As(err, &a):
		p.sure = true
		err = &Error{Name: p.name, Since: p.since, Reason: a.reason}
	}
	p.answer = err
	return err
}
