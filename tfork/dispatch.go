// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package tfork

import (
	"fmt"
	"os"

	"github.com/seed-cb702d51/tfork-go/internal/role"
)

// Dispatch makes this program able to play every process: the waiter and the
// worker functions are new executions of it. Call it as the first statement of
// main, and of TestMain, after the last [Register]:
//
//	func main() {
//		tfork.Dispatch()
//		...
//	}
//
// In an ordinary execution it returns at once, having changed nothing. In a
// role it plays that and never returns: the process ends with the role's exit
// status, or with 125 and a message on standard error if the role is refused
// (a program that runs set-uid, set-gid or with file capabilities plays none,
// see AT_SECURE in getauxval(3)).
func Dispatch() {
	r, ok, err := role.Take()
	dispatched.Store(true)
	if !ok {
		return
	}
	if err == nil {
		err = play(r)
	}
	fmt.Fprintln(os.Stderr, "tfork:", err)
	os.Exit(role.ExitRefused)
}
