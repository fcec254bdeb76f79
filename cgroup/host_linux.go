// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package cgroup

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/seed-cb702d51/tfork-go/internal/cgroupfs"
)

func probe() Host {
	m, err := cgroupfs.FindMount()
	if err != nil {
		return Host{Err: err}
	}
	h := Host{Mount: m.Point, ReadOnly: m.ReadOnly}
	h.Controllers, _ = words(filepath.Join(m.Point, "cgroup.controllers"))
	text, _ := os.ReadFile("/proc/self/cgroup")
	h.V1Controllers = v1Controllers(string(text))
	if self, ok := cgroupfs.ParseSelf(text); ok {
		h.Own, _ = m.Dir(self)
	}
	g, err := delegated()
	if err != nil {
		h.DelegatedErr = err
		return h
	}
	defer g.Close()
	h.Delegated = g.Path()
	h.DelegatedControllers, _ = words(filepath.Join(g.Path(), "cgroup.controllers"))
	return h
}

// v1Controllers reads the controllers out of the "N:name,...:/path" lines of
// /proc/self/cgroup; named hierarchies have none.
func v1Controllers(text string) []string {
	var found []string
	for line := range strings.Lines(text) {
		f := strings.SplitN(line, ":", 3)
		if len(f) != 3 || f[0] == "0" {
			continue
		}
		for name := range strings.SplitSeq(f[1], ",") {
			if name != "" && !strings.HasPrefix(name, "name=") {
				found = append(found, name)
			}
		}
	}
	slices.Sort(found)
	return found
}
