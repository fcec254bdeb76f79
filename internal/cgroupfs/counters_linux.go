// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package cgroupfs

import "golang.org/x/sys/unix"

func read(dir int) (Counters, error) {
	if err := checkType(dir); err != nil {
		return Counters{}, err
	}
	// The local file counts this cgroup alone; before 5.2 there is only the
	// other, which counts those below too.
	files := [...][]string{{"memory.events.local", "memory.events"}, {"memory.peak"}, {"cpu.stat"}}
	var texts [len(files)][]byte
	for i, names := range files {
		text, err := readFirst(dir, names)
		if err != nil {
			return Counters{}, err
		}
		texts[i] = text
	}
	if texts[2] == nil {
		// Every cgroup has cpu.stat, unless it is gone.
		if err := checkExists(dir); err != nil {
			return Counters{}, err
		}
	}
	return parseCounters(texts[0], texts[1], texts[2]), nil
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

// checkExists tells a removed cgroup from one without the file.
func checkExists(dir int) error {
	if _, err := readAt(dir, "cgroup.procs"); err == unix.ENOENT || err == unix.ENODEV {
		return fail(dir, "read cgroup.procs", err)
	}
	return nil
}
