// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package cgroup

import "slices"

// Host is what this host offers, for diagnosis. See [Probe].
type Host struct {
	// Err is nil if there is a cgroup v2 hierarchy, otherwise [ErrNotSupported]
	// with the reason and what to do; the rest is empty then.
	Err error
	// Mount is where the hierarchy is seen; ReadOnly that it cannot be changed.
	Mount    string
	ReadOnly bool
	// Controllers are in the v2 hierarchy, as seen at Mount; V1Controllers are
	// held by cgroup v1 hierarchies (a hybrid host), so that limits of theirs
	// cannot be set here.
	Controllers, V1Controllers []string
	// Own is the directory of the cgroup that this process is in.
	Own string
	// Delegated is the directory that [Delegated] would open, DelegatedErr why
	// there is none. DelegatedControllers are those that new groups there can be
	// limited by.
	Delegated            string
	DelegatedErr         error
	DelegatedControllers []string
}

// Missing returns those of the controllers that [Limits] needs which groups in
// the delegated directory cannot have.
func (h Host) Missing() []string {
	var missing []string
	for _, c := range []string{"memory", "pids", "cpu", "io", "cpuset"} {
		if !slices.Contains(h.DelegatedControllers, c) {
			missing = append(missing, c)
		}
	}
	return missing
}

// Probe looks at this host: mount, controllers, delegation. It changes nothing,
// does not block and remembers nothing.
func Probe() Host { return probe() }
