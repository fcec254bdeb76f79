// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package tfork_test

import (
	"errors"
	"fmt"
	"log"
	"strings"

	"github.com/seed-cb702d51/tfork-go/tfork"
)

func init() {
	tfork.Register("shout", func(w *tfork.Worker) int {
		fmt.Println(strings.ToUpper(string(w.Payload)))
		return len(w.Args)
	})
}

// Only the import differs from a program that uses os/exec.
func Example() {
	out, err := tfork.Command("echo", "hello").Output()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Print(string(out))

	err = tfork.Command("sh", "-c", "exit 3").Run()
	var ee *tfork.ExitError
	if errors.As(err, &ee) {
		fmt.Println(ee)
	}
	// Output:
	// hello
	// exit status 3
}

// A worker function runs in a process of its own. The program registers it and
// calls tfork.Dispatch first thing in main.
func ExampleFunc() {
	cmd := tfork.Func("shout", "one", "two")
	cmd.Payload = []byte("hello")
	out, err := cmd.Output()
	fmt.Printf("%s%v\n", out, err)
	// Output:
	// HELLO
	// exit status 2
}

// Done and Status, for a program that selects.
func ExampleProcess_Done() {
	cmd := tfork.Command("sh", "-c", "kill -TERM $$")
	if err := cmd.Start(); err != nil {
		log.Fatal(err)
	}
	<-cmd.Process.Done()
	status, err := cmd.Process.Status(false) // does not block
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(status, status.Signal() == 15)
	// Output: signal: terminated true
}
