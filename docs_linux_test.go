// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package tforkgo_test

import (
	"fmt"
	"go/ast"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// docs are the documents, the README apart.
func docs(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, pattern := range []string{"docs/*.md", "docs/decisions/*.md"} {
		names, err := filepath.Glob(pattern)
		if err != nil || len(names) == 0 {
			t.Fatalf("%s: %d documents, %v", pattern, len(names), err)
		}
		for _, name := range names {
			all[name] = read(t, name)
		}
	}
	return all
}

// quoted returns what stands between backquotes in a text and matches the
// pattern as a whole, each once.
func quoted(text, pattern string) []string {
	var found []string
	for _, m := range regexp.MustCompile("`("+pattern+")`").FindAllStringSubmatch(text, -1) {
		found = append(found, m[1])
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// TestDocs_NameWhatExists: scripts, files and tests that a document names.
func TestDocs_NameWhatExists(t *testing.T) {
	var code strings.Builder
	if err := walk(func(name string, text []byte) error {
		if strings.HasSuffix(name, "_test.go") {
			code.Write(text)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for name, text := range docs(t) {
		for _, script := range quoted(text, `\.ci/[a-z]+[^`+"`"+`]*`) {
			if _, err := os.Stat(strings.Fields(script)[0]); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		for _, file := range quoted(text, `[a-z]+/[a-z/]+[a-z_]*\.go`) {
			if _, err := os.Stat(file); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		for _, test := range quoted(text, `(?:Test|Fuzz|Benchmark)[A-Z0-9]\w*`) {
			if !strings.Contains(code.String(), "\nfunc "+test+"(") {
				t.Errorf("%s: there is no %s", name, test)
			}
		}
	}
	for n := 1; n <= 5; n++ {
		if !regexp.MustCompile(fmt.Sprintf(`\n%d\. `, n)).MatchString(read(t, "docs/architecture.md")) ||
			!strings.Contains(code.String(), fmt.Sprintf("\nfunc TestPromise%d_", n)) {
			t.Errorf("promise %d: not made, or not tested", n)
		}
	}
}

// TestDocs_SnippetsRun runs the Go snippets, which say nothing of imports.
func TestDocs_SnippetsRun(t *testing.T) {
	ran := 0
	for name, text := range docs(t) {
		for _, m := range regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(text, -1) {
			ran++
			file := filepath.Join(t.TempDir(), "main.go")
			program := "package main\n\nimport (\n\t\"fmt\"\n\n\t\"github.com/seed-cb702d51/tfork-go/pidfd\"\n)\n\nfunc main() {\n" + m[1] + "}\n"
			if err := os.WriteFile(file, []byte(program), 0o644); err != nil {
				t.Fatal(err)
			}
			if out, err := exec.Command("go", "run", file).CombinedOutput(); err != nil || len(out) == 0 {
				t.Errorf("%s: %v\n%s", name, err, out)
			}
		}
	}
	if ran == 0 {
		t.Error("no snippet in the documents")
	}
}

// TestDocs_CommandsOfTheDemoRun runs every command line of tforkdemo that a
// document shows.
func TestDocs_CommandsOfTheDemoRun(t *testing.T) {
	demo := filepath.Join(t.TempDir(), "tforkdemo")
	if out, err := exec.Command("go", "build", "-o", demo, "./cmd/tforkdemo").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	lines := map[string]bool{}
	for _, text := range docs(t) {
		for _, line := range quoted(text, "tforkdemo [^`]+") {
			lines[line] = true
		}
	}
	if len(lines) == 0 {
		t.Error("no command in the documents")
	}
	for line := range lines {
		if out, err := exec.Command(demo, strings.Fields(line)[1:]...).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", line, err, out)
		}
	}
}

// testCommand is a go test of some tests, in some packages of the module.
var testCommand = regexp.MustCompile(`go test ([^` + "`" + `\n|]*)`)

// TestDocs_TestsThatAreRunExist: each part of a pattern after -run is a test of
// one of the packages that the command names.
func TestDocs_TestsThatAreRunExist(t *testing.T) {
	functions := map[string][]string{}
	for _, s := range sources(t) {
		for _, d := range s.file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && s.test() {
				functions["./"+s.pkg()] = append(functions["./"+s.pkg()], f.Name.Name)
			}
		}
	}
	found := 0
	for name, text := range docs(t) {
		for _, m := range testCommand.FindAllStringSubmatch(strings.ReplaceAll(text, "|", "\x00"), -1) {
			args := strings.Fields(m[1])
			run := slices.Index(args, "-run") + 1
			if run == 0 || run == len(args) {
				continue
			}
			var tests []string
			for _, arg := range args {
				tests = append(tests, functions[arg]...)
			}
			for part := range strings.SplitSeq(strings.Trim(args[run], "'"), "\x00") {
				found++
				is := regexp.MustCompile(part)
				if !slices.ContainsFunc(tests, func(f string) bool { return strings.HasPrefix(f, "Test") && is.MatchString(f) }) {
					t.Errorf("%s: %s: no test is %q", name, m[0], part)
				}
			}
		}
	}
	if found == 0 {
		t.Error("no such command in the documents")
	}
}
