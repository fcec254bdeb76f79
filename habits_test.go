// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package tforkgo_test

import (
	"go/ast"
	"go/token"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// restricted are imports that only some files may have.
var restricted = map[string]func(s source) bool{
	// A library that imports testing gives its users test flags.
	"testing": func(s source) bool { return s.test() || s.pkg() == "internal/testutil" },
	// A library returns what went wrong; it has no log of its own.
	// (prefork logs through the logger that it is given; examples are programs.)
	"log":      func(s source) bool { return strings.HasPrefix(s.name, "cmd/") || strings.Contains(s.name, "/example_") },
	"log/slog": func(s source) bool { return strings.HasPrefix(s.name, "cmd/") || s.pkg() == "prefork" },
	// What the other systems build must not need it.
	"golang.org/x/sys/unix": func(s source) bool {
		name := strings.TrimSuffix(strings.TrimSuffix(s.name, ".go"), "_test")
		return strings.HasSuffix(name, "_linux") || forLinux(s.file)
	},
}

// forLinux tells whether a build line limits the file to Linux.
func forLinux(f *ast.File) bool {
	for _, group := range f.Comments {
		for _, c := range group.List {
			if strings.HasPrefix(c.Text, "//go:build linux") {
				return true
			}
		}
	}
	return false
}

func TestImports_RestrictedOnes(t *testing.T) {
	for _, s := range sources(t) {
		for _, imp := range s.file.Imports {
			path, _ := strconv.Unquote(imp.Path.Value)
			if may := restricted[path]; may != nil && !may(s) {
				t.Errorf("%s:%d: imports %s", s.name, line(imp), path)
			}
		}
	}
}

// reapers may wait for any child: nothing else in their process has children,
// or they show what it does to those.
var reapers = []string{"internal/ci/runner", "internal/testutil", "cmd/tforkdemo/internal/theft"}

// mayBlock hands the user's own files to a worker, which must find them
// blocking, as with os/exec.
const mayBlock = "tfork/stdio.go"

// TestLibrary_TouchesNothingOnItsOwn looks for what the promise forbids: code
// that runs on import, and calls that take what belongs to the program.
func TestLibrary_TouchesNothingOnItsOwn(t *testing.T) {
	for _, s := range sources(t) {
		if s.test() {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				if n.Name.Name == "init" && n.Recv == nil {
					t.Errorf("%s:%d: an init function runs on import", s.name, line(n))
				}
			case *ast.CallExpr:
				if what := forbiddenCall(s, n); what != "" {
					t.Errorf("%s:%d: %s", s.name, line(n), what)
				}
			}
			return true
		})
	}
}

// forbiddenCall tells what is wrong with a call, or "".
func forbiddenCall(s source, call *ast.CallExpr) string {
	fun, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return ""
	}
	switch {
	case fun.Sel.Name == "Wait4" && isMinusOne(call.Args[0]) && !slices.Contains(reapers, s.pkg()):
		return "Wait4(-1) takes the status of children that are not ours"
	case fun.Sel.Name == "Fd" && len(call.Args) == 0 && s.name != mayBlock:
		return "Fd() makes the file block: use SyscallConn"
	case (fun.Sel.Name == "New" || fun.Sel.Name == "Errorf") && len(call.Args) > 0:
		return badErrorText(fun, call.Args[0])
	}
	return ""
}

func isMinusOne(e ast.Expr) bool {
	neg, ok := e.(*ast.UnaryExpr)
	if !ok || neg.Op != token.SUB {
		return false
	}
	one, ok := neg.X.(*ast.BasicLit)
	return ok && one.Value == "1"
}

// badErrorText looks at the text of errors.New and fmt.Errorf: operation,
// object, cause, in lower case.
func badErrorText(fun *ast.SelectorExpr, arg ast.Expr) string {
	pkg, ok := fun.X.(*ast.Ident)
	lit, isLit := arg.(*ast.BasicLit)
	if !ok || !isLit || lit.Kind != token.STRING || pkg.Name != "errors" && pkg.Name != "fmt" {
		return ""
	}
	text, _ := strconv.Unquote(lit.Value)
	first, size := utf8.DecodeRuneInString(text)
	second, _ := utf8.DecodeRuneInString(text[size:])
	switch {
	// Names such as SIGCHLD and Start may come first: they have no space soon,
	// or are followed by another capital.
	case unicode.IsUpper(first) && !unicode.IsUpper(second) && sentenceStart.MatchString(text):
		return "error text begins like a sentence: " + text
	case vague.MatchString(text):
		return "error text says that something failed, not what: " + text
	case strings.HasSuffix(text, ".") || strings.HasSuffix(text, "\n"):
		return "error text ends like a sentence: " + text
	}
	return ""
}

var (
	sentenceStart = regexp.MustCompile(`^(A|An|The|This|That|Cannot|Can|No|Not|Could|Invalid|Unknown|Bad|Missing|Unable|Failed|Error)\b`)
	vague         = regexp.MustCompile(`(?i)\b(failed to|error while|unable to|something went wrong)\b`)
)
