// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package tforkgo_test

import (
	"go/ast"
	"os/exec"
	"path"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// docLink is an exported name in brackets, alone or behind a type or a package,
// and neither a Markdown link nor an index.
var docLink = regexp.MustCompile(`(?:^|[\s("'])\[\*?((?:[\w/.]+\.)?\p{Lu}\w*)\](?:[^\w(:\[]|$)`)

// TestComments_LinksResolve checks what go doc would print as a link. One that
// leads nowhere is printed in brackets, and nobody notices that the name it
// speaks of is gone.
func TestComments_LinksResolve(t *testing.T) {
	names := map[string]map[string]bool{}
	for _, s := range sources(t) {
		if names[s.pkg()] == nil {
			names[s.pkg()] = map[string]bool{}
		}
		declare(names[s.pkg()], s.file)
	}
	for _, s := range sources(t) {
		for _, name := range docLinks(s.file) {
			if !resolves(names, s, name) {
				t.Errorf("%s: [%s] leads nowhere", s.name, name)
			}
		}
	}
}

// declare adds what a file declares: Name, and Type.Member.
func declare(names map[string]bool, f *ast.File) {
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			name := d.Name.Name
			if d.Recv != nil {
				name = receiverName(d) + "." + name
			}
			names[name] = true
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				declareSpec(names, spec)
			}
		}
	}
}

func declareSpec(names map[string]bool, spec ast.Spec) {
	switch spec := spec.(type) {
	case *ast.ValueSpec:
		for _, n := range spec.Names {
			names[n.Name] = true
		}
	case *ast.TypeSpec:
		names[spec.Name.Name] = true
		var members *ast.FieldList
		switch typ := spec.Type.(type) {
		case *ast.StructType:
			members = typ.Fields
		case *ast.InterfaceType:
			members = typ.Methods
		default:
			return
		}
		for _, f := range members.List {
			for _, n := range f.Names {
				names[spec.Name.Name+"."+n.Name] = true
			}
		}
	}
}

func receiverName(d *ast.FuncDecl) string {
	typ := d.Recv.List[0].Type
	if star, ok := typ.(*ast.StarExpr); ok {
		typ = star.X
	}
	if generic, ok := typ.(*ast.IndexExpr); ok {
		typ = generic.X
	}
	if id, ok := typ.(*ast.Ident); ok {
		return id.Name
	}
	return ""
}

// docLinks returns the names in brackets of a file's comments, without the
// indented lines, which are code.
func docLinks(f *ast.File) (names []string) {
	for _, group := range f.Comments {
		for l := range strings.Lines(group.Text()) {
			if strings.HasPrefix(l, "\t") || strings.HasPrefix(l, "  ") {
				continue
			}
			for _, m := range docLink.FindAllStringSubmatch(l, -1) {
				names = append(names, m[1])
			}
		}
	}
	return names
}

// resolves tells whether a name is one of the package's, of another package of
// this module, or of any other package that go doc finds.
func resolves(names map[string]map[string]bool, s source, name string) bool {
	if names[s.pkg()][name] {
		return true
	}
	// pkg.Name, with pkg as the file imports it or as a path.
	dir, base := path.Split(name)
	pkg, member, ok := strings.Cut(base, ".")
	if !ok {
		return false
	}
	pkg = dir + pkg
	for _, imp := range s.file.Imports {
		p, _ := strconv.Unquote(imp.Path.Value)
		if path.Base(p) == pkg || imp.Name != nil && imp.Name.Name == pkg {
			pkg = p
		}
	}
	if own, ok := strings.CutPrefix(pkg, module); ok {
		return names[own][member]
	}
	if names[pkg] != nil {
		return names[pkg][member]
	}
	return outside(pkg + "." + member)
}

var outsideKnown sync.Map

// outside asks go doc for a name of another module or the standard library.
func outside(name string) bool {
	known, ok := outsideKnown.Load(name)
	if !ok {
		known = exec.Command("go", "doc", name).Run() == nil
		outsideKnown.Store(name, known)
	}
	return known.(bool)
}
