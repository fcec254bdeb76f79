// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"errors"
	"fmt"
	"io"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// app is one execution of the program.
type app struct {
	stdin          io.Reader
	stdout, stderr io.Writer
}

// Run runs tforkdemo with the arguments after its name, and returns its exit
// code. The program's first statement must have been tfork.Dispatch, or there
// is no strategy waiter.
func Run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	a := &app{stdin: stdin, stdout: oneAtATime(stdout), stderr: oneAtATime(stderr)}
	root := a.rootCommand()
	root.SetArgs(append([]string{}, args...)) // not nil: that would be os.Args
	root.SetIn(a.stdin)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	cmd, err := root.ExecuteC()
	var code exitCode
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &code):
		return int(code)
	}
	fmt.Fprintf(a.stderr, "tforkdemo: %v\n", err)
	fmt.Fprintf(a.stderr, "See '%s --help'.\n", cmd.CommandPath())
	return exitUsage
}

// rootCommand has all commands below it, and those that cobra adds: help and
// completion.
func (a *app) rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "tforkdemo",
		Short: "Run processes whose exit status cannot be lost",
		Long: `tforkdemo runs processes whose exit status cannot be lost, whatever else in
the program reaps children or ignores SIGCHLD. It is a tour of packages
tfork and prefork.

Begin with "tforkdemo theft", which shows the problem and the cure, and with
"tforkdemo probe", which shows what this system can do. "tforkdemo prefork" serves
with processes that replace each other, and "tforkdemo ps" shows them.`,
		Example: `  tforkdemo theft
  tforkdemo run -n 200 -p 8 -- sh -c 'exit $(($$ % 3))'
  tforkdemo probe
  tforkdemo prefork`,
		Version:       version(),
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(a.runCommand(), a.theftCommand(), a.waitCommand(), a.probeCommand(),
		a.preforkCommand(), a.psCommand())
	return root
}

// version is what the Go tool recorded when it built the program.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}

// printf writes a message for a person.
func (a *app) printf(format string, args ...any) {
	fmt.Fprintf(a.stderr, "tforkdemo: "+format+"\n", args...)
}
