// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package tforkgo_test

import (
	"go/ast"
	"go/token"
	"maps"
	"slices"
	"strings"
	"testing"
)

// The budgets. What is beyond one is listed here by name, with a reason.
const (
	maxFileLines     = 400
	maxFuncLines     = 80
	maxTestFuncLines = 120
	maxParams        = 5
	minCommentShare  = 15 // percent of a package's lines that are not blank
)

// beyondBudget are the files ("tfork/cmd.go") and functions ("tfork.Start")
// that may be longer.
var beyondBudget = map[string]string{}

func TestFiles_BeginWithTheLicence(t *testing.T) {
	const header = "// Copyright The tfork-go Authors.\n// SPDX-License-Identifier: Apache-2.0\n"
	for _, s := range sources(t) {
		if !strings.HasPrefix(strings.Join(s.lines, "\n")+"\n", header+"\n") {
			t.Errorf("%s does not begin with the licence lines and a blank one", s.name)
		}
	}
}

func TestFiles_StayWithinBudget(t *testing.T) {
	for _, s := range sources(t) {
		if len(s.lines) > maxFileLines && beyondBudget[s.name] == "" {
			t.Errorf("%s has %d lines, more than %d", s.name, len(s.lines), maxFileLines)
		}
	}
}

func TestFunctions_StayWithinBudget(t *testing.T) {
	for _, s := range sources(t) {
		limit := maxFuncLines
		if s.test() {
			limit = maxTestFuncLines
		}
		within := func(n ast.Node, name string) {
			if lines := length(n); lines > limit {
				t.Errorf("%s:%d: %s has %d lines, more than %d", s.name, line(n), name, lines, limit)
			}
		}
		for _, d := range s.file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if ok && beyondBudget[s.pkg()+"."+f.Name.Name] != "" {
				continue
			} else if ok {
				within(f, f.Name.Name)
				if n := f.Type.Params.NumFields(); n > maxParams {
					t.Errorf("%s:%d: %s has %d parameters: make a struct of them", s.name, line(f), f.Name.Name, n)
				}
			}
			// One without a name has the same budget, also where no function is
			// around it: what a test binary plays, a table's steps.
			ast.Inspect(d, func(n ast.Node) bool {
				if lit, ok := n.(*ast.FuncLit); ok {
					within(lit, "a function")
				}
				return true
			})
		}
	}
}

// TestPackages_AreCommented looks at all files of a package together: a package
// of a few lines may have few comments in one of them.
func TestPackages_AreCommented(t *testing.T) {
	comments, code := map[string]int{}, map[string]int{}
	for _, s := range sources(t) {
		if s.test() {
			continue
		}
		for _, l := range s.lines {
			switch l = strings.TrimSpace(l); {
			case strings.HasPrefix(l, "//"):
				comments[s.pkg()]++
			case l != "":
				code[s.pkg()]++
			}
		}
	}
	for _, pkg := range slices.Sorted(maps.Keys(code)) {
		if share := 100 * comments[pkg] / (comments[pkg] + code[pkg]); share < minCommentShare {
			t.Errorf("%s: %d %% of the lines are comments, less than %d %%", pkg, share, minCommentShare)
		}
	}
}

func TestPackages_HaveOneCommentInDocGo(t *testing.T) {
	has := map[string][]string{}
	packages := map[string]bool{}
	for _, s := range sources(t) {
		if s.test() {
			continue
		}
		packages[s.pkg()] = true
		if s.file.Doc != nil {
			has[s.pkg()] = append(has[s.pkg()], s.name)
		}
	}
	for _, pkg := range slices.Sorted(maps.Keys(packages)) {
		if got := has[pkg]; len(got) != 1 || got[0] != pkg+"/doc.go" {
			t.Errorf("package %s is commented in %q, want doc.go alone", pkg, got)
		}
	}
}

func TestExported_IsDocumented(t *testing.T) {
	for _, s := range sources(t) {
		if s.test() {
			continue
		}
		for _, d := range s.file.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Name.IsExported() && receiverExported(d) && d.Doc == nil {
					t.Errorf("%s:%d: %s has no comment", s.name, line(d), d.Name.Name)
				}
			case *ast.GenDecl:
				undocumentedIn(t, s, d)
			}
		}
	}
}

// undocumentedIn checks types, variables and constants. The comment of a group
// covers its constants and variables, not its types.
func undocumentedIn(t *testing.T, s source, d *ast.GenDecl) {
	t.Helper()
	for _, spec := range d.Specs {
		switch spec := spec.(type) {
		case *ast.TypeSpec:
			alone := len(d.Specs) == 1 && d.Doc != nil
			if spec.Name.IsExported() && spec.Doc == nil && !alone {
				t.Errorf("%s:%d: %s has no comment", s.name, line(spec), spec.Name.Name)
			}
			if !spec.Name.IsExported() || !s.library() {
				continue
			}
			switch typ := spec.Type.(type) {
			case *ast.StructType:
				undocumentedFields(t, s, spec.Name.Name, typ.Fields)
			case *ast.InterfaceType:
				undocumentedFields(t, s, spec.Name.Name, typ.Methods)
			}
		case *ast.ValueSpec:
			exported := slices.ContainsFunc(spec.Names, (*ast.Ident).IsExported)
			if exported && spec.Doc == nil && spec.Comment == nil && d.Doc == nil {
				t.Errorf("%s:%d: %s has no comment", s.name, line(spec), spec.Names[0].Name)
			}
		}
	}
}

// undocumentedFields checks the fields, or methods of an interface, that users
// see. A comment covers those on the lines right below it.
func undocumentedFields(t *testing.T, s source, name string, fields *ast.FieldList) {
	t.Helper()
	covered := token.Pos(0)
	for _, f := range fields.List {
		below := covered != 0 && line(f) == fset.Position(covered).Line+1
		if f.Doc != nil || f.Comment != nil || below {
			covered = f.End()
			continue
		}
		covered = 0
		for _, n := range f.Names {
			if n.IsExported() {
				t.Errorf("%s:%d: %s.%s has no comment", s.name, line(f), name, n.Name)
			}
		}
	}
}

// receiverExported tells whether a function is one, or a method that users can
// name.
func receiverExported(d *ast.FuncDecl) bool {
	if d.Recv == nil {
		return true
	}
	typ := d.Recv.List[0].Type
	if star, ok := typ.(*ast.StarExpr); ok {
		typ = star.X
	}
	if generic, ok := typ.(*ast.IndexExpr); ok {
		typ = generic.X
	}
	id, ok := typ.(*ast.Ident)
	return ok && id.IsExported()
}
