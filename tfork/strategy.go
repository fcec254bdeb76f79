// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package tfork

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/seed-cb702d51/tfork-go/internal/role"
	"github.com/seed-cb702d51/tfork-go/internal/sys"
)

// Strategy is a way to start a worker and to collect its status.
type Strategy int

const (
	// Auto takes Direct where the kernel keeps a worker's exit status for
	// whoever holds its pidfd (Linux 6.15), else Waiter where [Dispatch] was
	// called, else Direct without the guard. With SIGCHLD ignored it prefers
	// Waiter, so that workers do not inherit that. Where the first start finds
	// no descriptors or memory left to find out, it fails with an error that is
	// EMFILE, ENFILE or ENOMEM, and decides nothing ([Probe] at the start of a
	// program finds out in time). The environment variable
	// TFORK_STRATEGY (auto, direct, waiter) stands in for Auto, except in a
	// program that gained privileges by its execution.
	Auto Strategy = iota
	// Direct starts the worker as this process's own child.
	Direct
	// Waiter starts the worker as the child of a helper process, the only one
	// that can take its status. It needs [Dispatch].
	Waiter
)

// strategyEnv stands in for Auto.
const strategyEnv = "TFORK_STRATEGY"

var strategyNames = []string{Auto: "auto", Direct: "direct", Waiter: "waiter"}

// String returns "auto", "direct" or "waiter".
func (s Strategy) String() string {
	if s < 0 || int(s) >= len(strategyNames) {
		return fmt.Sprintf("Strategy(%d)", int(s))
	}
	return strategyNames[s]
}

// ParseStrategy is the inverse of [Strategy.String]. Its error lists the valid
// names.
func ParseStrategy(name string) (Strategy, error) {
	for s, n := range strategyNames {
		if n == name {
			return Strategy(s), nil
		}
	}
	return Auto, fmt.Errorf("unknown strategy %q: valid are %s", name, strings.Join(strategyNames, ", "))
}

// choice is a strategy that was decided on.
type choice struct {
	strategy Strategy
	guarded  bool
	reason   string
}

// option is a choice that can be carried out.
type option struct {
	choice
	start func(*launch) (pid int, h handle, err error)
}

// wanted is the strategy that c and the environment ask for, and who asks.
func (c *Cmd) wanted() (s Strategy, who string, err error) {
	switch {
	case c.Strategy != Auto && c.Dedicated && c.Strategy != Waiter:
		return 0, "", fmt.Errorf("tfork: Cmd.Dedicated needs the strategy waiter, not %v", c.Strategy)
	case c.Strategy < Auto || c.Strategy > Waiter:
		return 0, "", fmt.Errorf("tfork: Cmd.Strategy is %v: valid are Auto, Direct, Waiter", c.Strategy)
	case c.Strategy != Auto:
		return c.Strategy, "Cmd.Strategy", nil
	case c.Dedicated:
		return Waiter, "Cmd.Dedicated", nil
	}
	name := os.Getenv(strategyEnv) // empty is as good as unset
	if name == "" || role.Secure() {
		return Auto, "", nil
	}
	s, err = ParseStrategy(name)
	if err != nil {
		return 0, "", fmt.Errorf("tfork: %s: %w", strategyEnv, err)
	}
	return s, strategyEnv, nil
}

// options lists the ways to start c, best first.
func (c *Cmd) options() ([]option, error) {
	want, who, err := c.wanted()
	if err != nil {
		return nil, err
	}
	switch want {
	case Direct:
		return []option{directOption(who + " asks for it")}, nil
	case Waiter:
		if err := waiterPossible(); err != nil {
			return nil, fmt.Errorf("tfork: strategy waiter (%s): %w", who, err)
		}
		return []option{waiterOption(who + " asks for it")}, nil
	}
	s := currentSurroundings()
	for _, err := range []error{s.exitInfo, s.waiter} {
		if shortage(err) {
			return nil, fmt.Errorf("tfork: cannot tell which strategy to take: %w", err)
		}
	}
	return autoOptions(s), nil
}

// shortage tells the answer of a probe that could not tell because there was no
// room for it. It would be asked again and answer otherwise, so nothing may be
// decided on it: least of all to start a worker unguarded. (A probe that never
// can tell, in an odd sandbox, is no reason to start nothing at all.)
func shortage(err error) bool {
	return !errors.Is(err, ErrNotSupported) && sys.Short(err)
}

// surroundings are the facts that Auto decides on.
type surroundings struct {
	exitInfo       error // nil: the kernel keeps a worker's exit status
	waiter         error // nil: a waiter can be started
	sigchldIgnored bool
}

// autoOptions is the table of Auto.
func autoOptions(s surroundings) []option {
	direct, waiter := directOption, waiterOption
	switch {
	case s.exitInfo == nil && s.sigchldIgnored && s.waiter == nil:
		return []option{
			waiter("SIGCHLD is ignored: through the waiter the worker starts with it at default"),
			direct("exit status is kept with the pidfd"),
		}
	case s.exitInfo == nil:
		return []option{direct("exit status is kept with the pidfd")}
	case s.waiter == nil:
		return []option{
			waiter("kernel keeps no exit status: " + s.exitInfo.Error()),
			direct("unguarded: " + s.exitInfo.Error()),
		}
	}
	return []option{direct("unguarded: " + s.exitInfo.Error() + "; and no waiter: " + s.waiter.Error())}
}

// errSecure keeps roles out of programs that gained privileges.
var errSecure = errors.New("this program runs set-uid, set-gid or with file capabilities, where no helper process is started")

// waiterPossible tells why no role process can be started from this program.
func waiterPossible() error {
	switch {
	case !dispatched.Load():
		return ErrNoDispatch
	case role.Secure():
		return errSecure
	}
	return waiterSupported()
}
