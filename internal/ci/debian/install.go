// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package debian

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"
)

// Tool is a program and the package that brings it.
type Tool struct{ Program, Package string }

// Install makes sure that the programs exist, with the machine's own apt-get
// for those that do not, and says on log what it installs. Without root it
// returns an error that names the command to type. One that apt-get does not
// get is [ErrUnavailable].
func Install(ctx context.Context, log io.Writer, tools ...Tool) error {
	var missing []string
	for _, t := range tools {
		if _, err := exec.LookPath(t.Program); err != nil {
			missing = append(missing, t.Package)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	names := strings.Join(missing, " ")
	if os.Geteuid() != 0 {
		return fmt.Errorf("missing here: %s; as root: apt-get install %s", names, names)
	}
	fmt.Fprintln(log, "installing", names)
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	if err := aptGet(ctx, missing); err == nil {
		return nil
	}
	// The machine's lists may be missing or too old for what the mirror has.
	if out, err := exec.CommandContext(ctx, "apt-get", "-q", "update").CombinedOutput(); err != nil {
		fmt.Fprintf(log, "apt-get update: %v: %s\n", err, lastLines(string(out), 2))
	}
	return aptGet(ctx, missing)
}

func aptGet(ctx context.Context, packages []string) error {
	args := append([]string{"-q", "-y", "--no-install-recommends", "install"}, packages...)
	cmd := exec.CommandContext(ctx, "apt-get", args...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: apt-get install %s: %w: %s", ErrUnavailable, strings.Join(packages, " "), err, lastLines(string(out), 3))
	}
	return nil
}
