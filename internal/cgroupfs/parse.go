// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package cgroupfs

import (
	"bytes"
	"strconv"
)

// Field finds "KEY NUMBER" in a flat keyed file (cgroup.events, memory.events,
// cpu.stat). ok is false if the key is not there or its value is no number.
func Field(text []byte, key string) (value uint64, ok bool) {
	for line := range bytes.Lines(text) {
		name, number, found := bytes.Cut(line, []byte(" "))
		if found && string(name) == key {
			return Number(number)
		}
	}
	return 0, false
}

// Number reads a file that holds one number. ok is false for "max".
func Number(text []byte) (value uint64, ok bool) {
	n, err := strconv.ParseUint(string(bytes.TrimSpace(text)), 10, 64)
	if err != nil {
		return 0, false // on overflow n would be the largest number
	}
	return n, true
}
