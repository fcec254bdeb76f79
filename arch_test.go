// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package tforkgo_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/seed-cb702d51/tfork-go/"

// mayImport is who may import whom inside the module. A new package must be
// added by hand, with a reason in the commit.
var mayImport = map[string][]string{
	// The proof: it starts everything, and nothing imports it.
	"internal/ci/debian": {},
	"internal/ci/plan":   {},
	"internal/ci/tether": {},
	"internal/ci/vm":     {"internal/ci/plan", "internal/ci/tether"},
	"internal/ci/suite":  {"internal/ci/plan"},
	"internal/ci/runner": {"internal/ci/plan", "internal/ci/vm", "internal/sandbox"},
	"internal/ci/probes": {"tfork", "internal/ci/plan"},
	"internal/ci/prove":  {"internal/ci/...", "internal/sandbox"},
	"internal/sandbox":   {},

	"cmd/tforkdemo": {"tfork", "cmd/tforkdemo/internal/cli", "cmd/tforkdemo/internal/services"},
	"cmd/tforkdemo/internal/cli": {
		"prefork", "prefork/config", "tfork", "cgroup", "pidfd", "cmd/tforkdemo/internal/...",
	},
	"cmd/tforkdemo/internal/batch":  {"tfork", "cgroup", "cmd/tforkdemo/internal/jobs"},
	"cmd/tforkdemo/internal/jobs":   {},
	"cmd/tforkdemo/internal/report": {"tfork", "cmd/tforkdemo/internal/batch"},
	"cmd/tforkdemo/internal/theft":  {"tfork"},
	// Demonstrates prefork: what the workers of tforkdemo prefork do.
	"cmd/tforkdemo/internal/services": {"prefork"},

	"fuzz":              {},
	"prefork":           {"tfork", "prefork/..."},
	"prefork/accept":    {},
	"prefork/config":    {},
	"cgroup":            {"tfork", "internal/..."},
	"tfork":             {"pidfd", "waiter", "internal/..."},
	"waiter":            {"internal/..."},
	"pidfd":             {"internal/..."},
	"internal/boot":     {},
	"internal/feature":  {},
	"internal/peer":     {},
	"internal/role":     {},
	"internal/sys":      {},
	"internal/cgroupfs": {"internal/feature"},
	"internal/wire":     {},
	"internal/testutil": {"internal/peer"},

	// What prefork is made of: nothing here knows tfork.
	"prefork/internal/restart":   {},
	"prefork/internal/supervise": {"prefork/internal/restart"},
	"prefork/internal/message":   {},
	"prefork/internal/names":     {"prefork/internal/message", "internal/peer"},
	"prefork/internal/orphan":    {"internal/sys"},
	"prefork/internal/systemd":   {},
}

// mayImportOutside limits what comes from outside the standard library.
var mayImportOutside = map[string][]string{
	"tfork":             {"golang.org/x/sys/unix"},
	"waiter":            {"golang.org/x/sys/unix"},
	"pidfd":             {"golang.org/x/sys/unix"},
	"internal/boot":     {},
	"internal/feature":  {},
	"internal/peer":     {"golang.org/x/sys/unix"},
	"internal/role":     {"golang.org/x/sys/unix"},
	"internal/sys":      {"golang.org/x/sys/unix"},
	"internal/wire":     {},
	"internal/cgroupfs": {"golang.org/x/sys/unix"},
}

// TestImports_DirectionHolds compares the tables with what go list says.
func TestImports_DirectionHolds(t *testing.T) {
	for pkg, imports := range goList(t) {
		allowed, known := mayImport[pkg]
		if !known {
			t.Errorf("package %s is not in the import table", pkg)
			continue
		}
		for _, imp := range imports {
			inside, ok := strings.CutPrefix(imp, module)
			switch {
			case ok && !slices.ContainsFunc(allowed, func(a string) bool { return matches(a, inside) }):
				t.Errorf("%s may not import %s", pkg, inside)
			case !ok && strings.Contains(strings.Split(imp, "/")[0], "."):
				if only, limited := mayImportOutside[pkg]; limited && !slices.Contains(only, imp) {
					t.Errorf("%s may not import %s", pkg, imp)
				}
			}
		}
	}
}

// TestImports_TforkAloneIsLight holds the promise that a program which imports
// only tfork compiles nothing but the standard library and golang.org/x/sys.
func TestImports_TforkAloneIsLight(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", "./tfork").Output()
	if err != nil {
		t.Fatal(err)
	}
	for dep := range strings.FieldsSeq(string(out)) {
		if !strings.HasPrefix(dep, module) && !strings.HasPrefix(dep, "golang.org/x/sys/") {
			t.Errorf("tfork needs %s", dep)
		}
	}
}

func matches(pattern, pkg string) bool {
	if dir, ok := strings.CutSuffix(pattern, "..."); ok {
		return strings.HasPrefix(pkg, dir)
	}
	return pattern == pkg
}

// goList returns each package of the module with its direct imports, tests
// left out.
func goList(t *testing.T) map[string][]string {
	t.Helper()
	out, err := exec.Command("go", "list", "-f", "{{.ImportPath}} {{join .Imports \" \"}}", "./...").Output()
	if err != nil {
		t.Fatal(err)
	}
	pkgs := map[string][]string{}
	for line := range strings.Lines(string(out)) {
		f := strings.Fields(line)
		if name, ok := strings.CutPrefix(f[0], module); ok {
			pkgs[name] = f[1:]
		}
	}
	if len(pkgs) == 0 {
		t.Fatal("go list found no package")
	}
	return pkgs
}
