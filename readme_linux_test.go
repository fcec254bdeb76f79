// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package tforkgo_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// readmeCommand finds `go run ...` and `go test ...` in the README, indented as
// a block or between backquotes.
var readmeCommand = regexp.MustCompile("(?m)(?:^    |`)(go (?:run|test) [^`\n]+)")

// TestReadme_ProgramRuns runs the program as it stands there.
func TestReadme_ProgramRuns(t *testing.T) {
	_, rest, ok := strings.Cut(read(t, "README.md"), "```go\n")
	program, _, closed := strings.Cut(rest, "```")
	if !ok || !closed {
		t.Fatal("no program in the README")
	}
	file := filepath.Join(t.TempDir(), "main.go")
	if err := os.WriteFile(file, []byte(program), 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("go", "run", file).CombinedOutput()
	if err != nil || string(out) != "hello\nexit status 3\n" {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestReadme_CommandsRun runs every command of the README. The test command is
// the one that this is part of: what CI calls must be just that.
func TestReadme_CommandsRun(t *testing.T) {
	found := 0
	for _, m := range readmeCommand.FindAllStringSubmatch(read(t, "README.md"), -1) {
		found++
		command := m[1]
		if strings.HasPrefix(command, "go test") {
			if !strings.Contains(read(t, ".ci/run"), command+"\n") {
				t.Errorf(".ci/run does not call %q", command)
			}
			continue
		}
		if out, err := exec.Command("sh", "-c", command).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", command, err, out)
		}
	}
	if found != 3 {
		t.Errorf("%d commands found, want 3", found)
	}
}

// TestReadme_NamesTheModule: go get is not run, which would ask the network; what
// it would ask for is this module.
func TestReadme_NamesTheModule(t *testing.T) {
	_, mod, _ := strings.Cut("\n"+read(t, "go.mod"), "\nmodule ")
	mod, _, _ = strings.Cut(mod, "\n")
	if mod+"/" != module {
		t.Errorf("go.mod says %q, the import table %q", mod, module)
	}
	gets := regexp.MustCompile("go get ([^\\s`]+)").FindAllStringSubmatch(read(t, "README.md"), -1)
	if len(gets) != 1 || gets[0][1] != mod {
		t.Errorf("the README gets %q, not %s", gets, mod)
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
