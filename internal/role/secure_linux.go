// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package role

import "golang.org/x/sys/unix"

// atSecure is AT_SECURE of getauxval(3).
const atSecure = 23

// Secure tells whether the kernel marked this execution as privileged. What
// cannot be told counts as privileged.
func Secure() bool {
	auxv, err := unix.Auxv()
	if err != nil {
		return true
	}
	for _, entry := range auxv {
		if entry[0] == atSecure {
			return entry[1] != 0
		}
	}
	return true
}
