// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package sandbox

import "slices"

// Profile is a set of system calls that answer with an error.
type Profile struct {
	// Name is what [Exec] takes; Like says what the profile imitates.
	Name, Like string
	Rules      []Rule
}

// Rule is one system call that fails.
type Rule struct {
	// Call is its number on the machine this was built for.
	Call uint32
	// Errno is what it answers.
	Errno uint32
	// If, when not nil, limits the rule to calls with such an argument.
	If *Match
}

// Match compares one argument, its low 32 bits only.
type Match struct {
	// Arg counts from 0.
	Arg int
	// The rule holds if arg&Mask == Value.
	Mask, Value uint32
}

// Find returns the profile of that name.
func Find(name string) (Profile, bool) {
	i := slices.IndexFunc(Profiles(), func(p Profile) bool { return p.Name == name })
	if i < 0 {
		return Profile{}, false
	}
	return Profiles()[i], true
}
