// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package tforkgo_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

// mutationsKey is set in the environment to plant the bugs and run the tests
// that must find them.
const mutationsKey = "TFORK_MUTATE"

// mutation is a bug that is planted on purpose: a file of testdata/mutations.
// Its head says what the bug is, which test must find it, and what that test
// says; then come pairs of texts, as the source has it and with the bug.
type mutation struct {
	name            string
	bug, test, says string
	pkg             string // the package of the test, as go test takes it
	changes         []change
	file, function  string // of the first change
}

// change is one text of one file, and what takes its place.
type change struct{ file, before, after string }

// readMutation reads a file, and checks it against the sources as they are: a
// text that is not there exactly once has rotted.
func readMutation(t *testing.T, name string) *mutation {
	t.Helper()
	archive, err := txtar.ParseFile(name)
	if err != nil {
		t.Fatal(err)
	}
	m := &mutation{name: strings.TrimSuffix(filepath.Base(name), ".txtar")}
	for line := range strings.Lines(string(archive.Comment)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		value = strings.TrimSpace(value)
		switch key {
		case "Bug":
			m.bug = value
		case "Test":
			m.pkg, m.test, _ = strings.Cut(value, " ")
		case "Says":
			m.says = value
		default:
			t.Errorf("%s: a line that is none of Bug, Test, Says: %q", name, line)
		}
	}
	if m.bug == "" || m.test == "" || m.says == "" || len(archive.Files) == 0 || len(archive.Files)%2 != 0 {
		t.Fatalf("%s: needs Bug, Test (package and name), Says, and pairs of files", name)
	}
	for i := 0; i < len(archive.Files); i += 2 {
		before, after := archive.Files[i], archive.Files[i+1]
		file, isBefore := strings.CutPrefix(before.Name, "before ")
		other, isAfter := strings.CutPrefix(after.Name, "after ")
		if !isBefore || !isAfter || file != other {
			t.Fatalf("%s: wants the sections %q and %q", name, "before FILE", "after FILE")
		}
		m.changes = append(m.changes, change{file, string(before.Data), string(after.Data)})
	}
	m.locate(t)
	return m
}

// locate finds the changes in the sources.
func (m *mutation) locate(t *testing.T) {
	t.Helper()
	for i, c := range m.changes {
		text := read(t, c.file)
		if n := strings.Count(text, c.before); n != 1 {
			t.Fatalf("%s: this is %d times in %s, not once: write the bug anew\n%s", m.name, n, c.file, c.before)
		}
		if i == 0 {
			m.file, m.function = c.file, functionAt(t, c.file, 1+strings.Count(text[:strings.Index(text, c.before)], "\n"))
		}
	}
}

// functionAt names the function or variable around a line, or the next one
// after it.
func functionAt(t *testing.T, name string, at int) string {
	t.Helper()
	for _, s := range sources(t) {
		if s.name != name {
			continue
		}
		for _, d := range s.file.Decls {
			if fset.Position(d.End()).Line < at {
				continue
			}
			switch d := d.(type) {
			case *ast.FuncDecl:
				return d.Name.Name
			case *ast.GenDecl:
				if v, ok := d.Specs[0].(*ast.ValueSpec); ok {
					return v.Names[0].Name
				}
			}
		}
	}
	return ""
}

// overlay writes the changed files and the list of them that go test takes.
func (m *mutation) overlay(t *testing.T, root string) string {
	t.Helper()
	dir := t.TempDir()
	replace := map[string]string{}
	for i, c := range m.changes {
		path := filepath.Join(root, c.file)
		from := path
		if replace[path] != "" {
			from = replace[path]
		}
		text, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		replace[path] = filepath.Join(dir, fmt.Sprint(i, ".go"))
		if err := os.WriteFile(replace[path], bytes.Replace(text, []byte(c.before), []byte(c.after), 1), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	list, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(file, list, 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

// run runs the test, with an overlay or without.
func (m *mutation) run(overlay string) (out string, passed bool) {
	args := []string{"test", "-v", "-vet=off", "-count=1", "-timeout=2m", "-run", runPattern(m.test)}
	if overlay != "" {
		args = append(args, "-overlay", overlay)
	}
	c := exec.Command("go", append(args, m.pkg)...)
	// What is drawn at random leaves no file for the next run, and is not made
	// smaller for longer than is left of the test's time.
	c.Env = append(os.Environ(), "RAPID_NOFAILFILE=1", "RAPID_SHRINKTIME=5s")
	text, err := c.CombinedOutput()
	return string(text), err == nil
}

// runPattern makes TestX/case the pattern that matches nothing else.
func runPattern(test string) string {
	return "^" + strings.ReplaceAll(strings.ReplaceAll(test, " ", "_"), "/", "$/^") + "$"
}

// row is the mutation's line in docs/testing.md.
func (m *mutation) row() string {
	return fmt.Sprintf("| %s | %s, `%s` | `%s` | %s |", m.bug, m.file, m.function, m.test, m.says)
}

func mutations(t *testing.T) []*mutation {
	t.Helper()
	files, err := filepath.Glob("testdata/mutations/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no mutations: ", err)
	}
	var all []*mutation
	for _, f := range files {
		all = append(all, readMutation(t, f))
	}
	return all
}

// TestMutations_HaveNotRotted: each still fits the sources, names a test that
// exists, and is in the table of docs/testing.md.
func TestMutations_HaveNotRotted(t *testing.T) {
	doc := read(t, "docs/testing.md")
	for _, m := range mutations(t) {
		name, _, _ := strings.Cut(m.test, "/")
		found := false
		for _, s := range sources(t) {
			found = found || s.test() && "./"+s.pkg() == m.pkg && strings.Contains(strings.Join(s.lines, "\n"), "\nfunc "+name+"(")
		}
		if !found {
			t.Errorf("%s: there is no %s in %s", m.name, name, m.pkg)
		}
		if !strings.Contains(doc, m.row()+"\n") {
			t.Errorf("docs/testing.md lacks this line:\n%s", m.row())
		}
	}
}

// TestMutations_AreFound plants one bug after the other: the test must pass
// without it, fail with it, and say why. Where no bug was looked at nothing was
// proved: a name was mistyped, or the place is the wrong one.
func TestMutations_AreFound(t *testing.T) {
	if os.Getenv(mutationsKey) == "" {
		t.Skip("builds a test binary for each planted bug: run .ci/mutate, or set ", mutationsKey)
	}
	root, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	found, unseen := 0, []string{}
	for _, m := range mutations(t) {
		t.Run(m.name, func(t *testing.T) {
			defer func() {
				if t.Skipped() {
					unseen = append(unseen, m.name)
				}
			}()
			m.hunt(t, root)
			found++
		})
	}
	if found == 0 {
		t.Error("no planted bug was found")
	}
	// .ci/mutate knows this line by its beginning.
	fmt.Println(strings.TrimSpace(fmt.Sprintf("mutate: %d found, %d not looked at: %s", found, len(unseen), strings.Join(unseen, ", "))))
}

// hunt runs the test without the bug and with it; it returns if that finds it.
func (m *mutation) hunt(t *testing.T, root string) {
	t.Helper()
	out, passed := m.run("")
	if !passed || strings.Contains(out, "[no test files]") || strings.Contains(out, "no tests to run") {
		t.Fatalf("without the bug %s does not pass:\n%s", m.test, out)
	}
	if strings.Contains(out, "--- SKIP: ") && !strings.Contains(out, "--- PASS: "+strings.ReplaceAll(m.test, " ", "_")) {
		t.Skipf("%s cannot run here:\n%s", m.test, out)
	}
	out, passed = m.run(m.overlay(t, root))
	switch {
	case passed:
		t.Fatalf("NOT FOUND: %s", m.bug)
	case strings.Contains(out, "[build failed]"):
		t.Fatalf("the bug does not compile:\n%s", out)
	case !strings.Contains(out, m.says):
		t.Fatalf("%s fails, but does not say %q:\n%s", m.test, m.says, out)
	}
	t.Logf("found: %s\n\t%s, %s\n\t%s: %s", m.bug, m.file, m.function, m.test, m.says)
}
