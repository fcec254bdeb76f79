// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package waiter

import (
	"bytes"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/seed-cb702d51/tfork-go/internal/sys"
)

// stopped tells whether something has stopped a child of ours. The process
// table knows it better than waitid, which somebody else in this program may
// have asked first; without /proc the latter must do.
func stopped(pid int) bool {
	text, err := readFile(fmt.Sprintf("/proc/%d/stat", pid), nil)
	if err == nil {
		// The state follows the name, which may hold anything.
		i := bytes.LastIndex(text, []byte(") "))
		return i >= 0 && i+2 < len(text) && text[i+2] == 'T'
	}
	w, err := sys.WaitID(unix.P_PID, pid, unix.WSTOPPED|unix.WNOHANG|unix.WNOWAIT)
	return err == nil && w.Pid == pid
}
