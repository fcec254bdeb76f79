// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package tforkgo_test

import (
	"os"
	"strings"
	"testing"

	"golang.org/x/tools/go/packages"

	"github.com/seed-cb702d51/tfork-go/internal/testutil"
)

// targets are the systems for which everything compiles, tests too.
var targets = []string{"linux/arm64", "darwin/arm64", "freebsd/amd64", "windows/amd64"}

// TestTargets_Compile checks the types of everything from its sources, which needs
// a tenth of the time that compiling the standard library four times does.
func TestTargets_Compile(t *testing.T) {
	if testutil.Race() {
		t.Skip("the race detector makes it slow, and finds nothing here")
	}
	for _, target := range targets {
		t.Run(target, func(t *testing.T) {
			system, machine, _ := strings.Cut(target, "/")
			all, err := packages.Load(&packages.Config{
				Mode: packages.NeedName | packages.NeedFiles | packages.NeedImports | packages.NeedDeps |
					packages.NeedSyntax | packages.NeedTypes,
				Tests: true,
				Env:   append(os.Environ(), "GOOS="+system, "GOARCH="+machine, "CGO_ENABLED=0"),
			}, "./...")
			if err != nil || len(all) == 0 {
				t.Fatalf("%d packages, %v", len(all), err)
			}
			packages.Visit(all, nil, func(p *packages.Package) {
				for _, e := range p.Errors {
					t.Error(e)
				}
			})
		})
	}
}
