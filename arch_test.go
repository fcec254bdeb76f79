// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package tforkgo_test

import (
	"maps"
	"os"
	"os/exec"
	"slices"
	"strconv"
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

// TestImports_DirectionHolds compares the tables with the sources for every
// system: one that nobody here uses must not widen what a package stands on.
func TestImports_DirectionHolds(t *testing.T) {
	for pkg, imports := range importsOf(t) {
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

// TestImports_TablesNamePackages: an entry that nothing stands behind any more
// would allow what nobody has thought of to the next package of that name.
func TestImports_TablesNamePackages(t *testing.T) {
	pkgs := importsOf(t)
	there := func(pattern string) bool {
		for pkg := range pkgs {
			if matches(pattern, pkg) {
				return true
			}
		}
		return false
	}
	for _, pkg := range slices.Concat(slices.Collect(maps.Keys(mayImport)), slices.Collect(maps.Keys(mayImportOutside))) {
		for _, pattern := range append([]string{pkg}, mayImport[pkg]...) {
			if !there(pattern) {
				t.Errorf("there is no package %s, which the entry of %s names", pattern, pkg)
			}
		}
	}
}

// TestImports_TforkAloneIsLight holds the promise that a program which imports
// only tfork compiles nothing but the standard library and golang.org/x/sys.
func TestImports_TforkAloneIsLight(t *testing.T) {
	for _, target := range append([]string{"linux/amd64"}, targets...) {
		system, machine, _ := strings.Cut(target, "/")
		list := exec.Command("go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", "./tfork")
		list.Env = append(os.Environ(), "GOOS="+system, "GOARCH="+machine, "CGO_ENABLED=0")
		out, err := list.Output()
		if err != nil || len(out) == 0 {
			t.Fatalf("%s: %v, %q", target, err, out)
		}
		for dep := range strings.FieldsSeq(string(out)) {
			if !strings.HasPrefix(dep, module) && !strings.HasPrefix(dep, "golang.org/x/sys/") {
				t.Errorf("%s: tfork needs %s", target, dep)
			}
		}
	}
}

func matches(pattern, pkg string) bool {
	if dir, ok := strings.CutSuffix(pattern, "..."); ok {
		return strings.HasPrefix(pkg, dir)
	}
	return pattern == pkg
}

// ownModule is a folder with a go.mod of its own: what it imports is its affair.
const ownModule = "bench"

// importsOf returns each package of the module with its direct imports, on
// whatever system, tests left out.
func importsOf(t *testing.T) map[string][]string {
	t.Helper()
	pkgs := map[string][]string{}
	for _, s := range sources(t) {
		if s.test() || s.pkg() == ownModule || strings.HasPrefix(s.pkg(), ownModule+"/") {
			continue
		}
		imports := pkgs[s.pkg()]
		for _, imp := range s.file.Imports {
			path, err := strconv.Unquote(imp.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Contains(imports, path) {
				imports = append(imports, path)
			}
		}
		pkgs[s.pkg()] = imports // also where there is none: it is a package
	}
	if len(pkgs) == 0 {
		t.Fatal("there is no package")
	}
	return pkgs
}
