// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"embed"
	"strings"
)

// helpTexts are the long descriptions, one file per command: they are prose,
// and their exit codes are the reference for the code.
//
//go:embed help/*.txt
var helpTexts embed.FS

// help returns a command's long description.
func help(command string) string {
	text, err := helpTexts.ReadFile("help/" + command + ".txt")
	if err != nil {
		panic(err) // a name in this package is misspelt
	}
	return strings.TrimSuffix(string(text), "\n")
}
