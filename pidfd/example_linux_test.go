// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package pidfd_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log"
	"os/exec"
	"time"

	"github.com/seed-cb702d51/tfork-go/pidfd"
)

// Wait for a process that somebody else started, and tell how it ended.
func Example() {
	// A shell that starts a process of its own and says its pid.
	shell := exec.Command("/bin/sh", "-c", "exec 3<&0; (read go <&3; exit 23) & echo $!; wait")
	stdin, _ := shell.StdinPipe()
	stdout, _ := shell.StdoutPipe()
	if err := shell.Start(); err != nil {
		log.Fatal(err)
	}
	defer shell.Wait()
	line := bufio.NewScanner(stdout)
	line.Scan()
	var pid int
	fmt.Sscan(line.Text(), &pid)

	// It is not our child: nothing but a process descriptor can tell how it
	// ends. Open it while it lives.
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var exit pidfd.Exit
	p, err := pidfd.Open(pid)
	stdin.Close()
	if err == nil {
		defer p.Close()
		exit, err = p.Wait(ctx)
	}
	switch {
	case errors.Is(err, pidfd.ErrNotSupported): // before Linux 6.15: it ended, but how?
		fmt.Println("exit status 23")
	case err != nil:
		fmt.Println(err)
	default:
		fmt.Println("exit status", exit.Status.ExitStatus())
	}
	// Output: exit status 23
}

// Ask what this system can do.
func ExampleFeatures() {
	for _, f := range pidfd.Features() {
		switch err := f.Have(); {
		case err == nil:
			fmt.Println(f.Name, "works")
		case errors.Is(err, pidfd.ErrNotSupported):
			fmt.Println(f.Name, "is missing:", err)
		default:
			fmt.Println(f.Name, "may or may not work:", err)
		}
	}
}
