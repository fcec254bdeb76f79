// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package cgroupfs

import "golang.org/x/sys/unix"

// oomFiles: the local file counts this cgroup alone; before Linux 5.2 there is
// only the other, which counts those below too.
var oomFiles = []string{"memory.events.local", "memory.events"}

func read(dir int) (Counters, error) {
	files := [...][]string{oomFiles, {"memory.peak"}, {"cpu.stat"}}
	var texts [len(files)][]byte
	for i, names := range files {
		text, err := readFirst(dir, names)
		if err != nil {
			return Counters{}, err
		}
		texts[i] = text
	}
	if texts[2] == nil {
		// Every cgroup has cpu.stat, unless it is none or gone.
		if err := checkExists(dir); err != nil {
			return Counters{}, err
		}
	}
	return parseCounters(texts[0], texts[1], texts[2]), nil
}

func readOOM(dir int) (Counters, error) {
	text, err := readFirst(dir, oomFiles)
	return parseCounters(text, nil, nil), err
}

// readFirst reads the first file that exists; nil if none does.
func readFirst(dir int, names []string) ([]byte, error) {
	for _, name := range names {
		switch text, err := readAt(dir, name); err {
		case nil:
			return text, nil
		case unix.ENOENT, unix.EOPNOTSUPP:
		default:
			return nil, fail(dir, "read "+name, err)
		}
	}
	return nil, nil
}

// checkExists tells a cgroup without the file from what is none, or gone.
func checkExists(dir int) error {
	if err := checkType(dir); err != nil {
		return err
	}
	_, err := readAt(dir, "cgroup.procs")
	if err == unix.EOPNOTSUPP { // a threaded one does not tell
		return nil
	}
	return fail(dir, "read cgroup.procs", err)
}
