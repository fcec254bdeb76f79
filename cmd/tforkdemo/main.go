// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"

	"github.com/seed-cb702d51/tfork-go/cmd/tforkdemo/internal/cli"
	"github.com/seed-cb702d51/tfork-go/cmd/tforkdemo/internal/services"
	"github.com/seed-cb702d51/tfork-go/tfork"
)

func main() {
	services.Register() // in every process of the program, before Dispatch
	tfork.Dispatch()
	os.Exit(cli.Run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
