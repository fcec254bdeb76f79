// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package tforkgo_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// source is one Go file of the module, whatever system it is for.
type source struct {
	name  string // from the module's root
	lines []string
	file  *ast.File
}

// pkg is the folder, from the module's root.
func (s source) pkg() string { return path.Dir(s.name) }

// test tells whether only tests see the file.
func (s source) test() bool { return strings.HasSuffix(s.name, "_test.go") }

// library tells whether the file belongs to a package that users import.
func (s source) library() bool {
	return !s.test() && !strings.Contains("/"+s.name, "/internal/") && s.file.Name.Name != "main"
}

var (
	fset   = token.NewFileSet()
	loaded = sync.OnceValues(loadSources)
)

// sources returns every Go file of the module.
func sources(t *testing.T) []source {
	t.Helper()
	all, err := loaded()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func loadSources() ([]source, error) {
	var all []source
	err := walk(func(name string, text []byte) error {
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		f, err := parser.ParseFile(fset, name, text, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		all = append(all, source{name: name, lines: strings.Split(strings.TrimSuffix(string(text), "\n"), "\n"), file: f})
		return nil
	})
	return all, err
}

// walk calls f for every text file of the repository that is not generated or
// kept by a tool.
func walk(f func(name string, text []byte) error) error {
	skip := []string{".git", "bin", "testdata"}
	return filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && slices.Contains(skip, d.Name()):
			return filepath.SkipDir
		case !d.Type().IsRegular() || slices.Contains(skip, d.Name()):
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		return f(filepath.ToSlash(name), text)
	})
}

// line is where a node begins.
func line(n ast.Node) int { return fset.Position(n.Pos()).Line }

// length is how many lines a node has.
func length(n ast.Node) int { return fset.Position(n.End()).Line - line(n) + 1 }
