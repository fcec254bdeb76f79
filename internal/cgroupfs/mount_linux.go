// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package cgroupfs

import (
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

func findMount() (Mount, error) {
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return Mount{}, err
	}
	return ParseMountinfo(text)
}

// ancestorWritable tells whether this process may write cgroup.procs of the
// nearest cgroup above both itself and dir, which the kernel asks for. Where
// that cannot be told it answers yes: then the cgroup is not blamed.
func ancestorWritable(dir int) bool {
	m, err := FindMount()
	if err != nil {
		return true
	}
	text, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return true
	}
	self, _ := ParseSelf(text)
	own, ok := m.Dir(self)
	if !ok {
		return false // we are outside of all that can be seen here
	}
	target := dirPath(dir)
	if !filepath.IsAbs(target) {
		return true
	}
	common := own
	for !within(common, target) {
		common = filepath.Dir(common)
	}
	if !within(m.Point, common) {
		return true // seen through another mount
	}
	return unix.Faccessat(unix.AT_FDCWD, filepath.Join(common, "cgroup.procs"), unix.W_OK, unix.AT_EACCESS) == nil
}

func within(dir, p string) bool {
	_, ok := below(dir, p)
	return ok
}
