// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package suite

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
)

// Binary is the name of each suite's test binary in its folder of the stage.
const Binary = "suite.test"

// Stage is a copy of what the suites need to run away from the source tree: a
// folder per package that holds its static test binary and its testdata.
type Stage struct {
	Dir    string
	Suites []string // packages, from the module's root
}

// NewStage builds the test binaries of the packages that match the patterns of
// the go command into dir, readable by every user. Packages without tests are
// left out, and so are those whose tests are about something else than a kernel:
// the module's root (the source) and internal/ci (this).
func NewStage(ctx context.Context, dir string, patterns ...string) (*Stage, error) {
	root, packages, err := withTests(ctx, patterns)
	if err != nil {
		return nil, err
	}
	s := &Stage{Dir: dir, Suites: packages}
	if err := os.Chmod(dir, 0o755); err != nil {
		return nil, err
	}
	if err := s.eachTwo(func(pkg string) error { return s.add(ctx, root, pkg) }); err != nil {
		return nil, err
	}
	return s, s.copyDocs(root)
}

// Tool builds a program of the module, static, into the stage, and returns its
// path.
func (s *Stage) Tool(ctx context.Context, pkg string) (string, error) {
	path := filepath.Join(s.Dir, filepath.Base(pkg))
	return path, goStatic(ctx, "build", "-o", path, module+pkg)
}

// withTests lists the packages that have tests, and finds the module's root.
func withTests(ctx context.Context, patterns []string) (root string, packages []string, err error) {
	const format = `{{if or .TestGoFiles .XTestGoFiles}}{{.Module.Dir}} {{.ImportPath}}{{end}}`
	out, err := output(ctx, "go", append([]string{"list", "-f", format}, patterns...)...)
	if err != nil {
		return "", nil, err
	}
	for line := range strings.Lines(out) {
		if dir, path, ok := strings.Cut(strings.TrimSpace(line), " "); ok {
			root = dir
			if pkg, ok := strings.CutPrefix(path, module); ok && !strings.HasPrefix(pkg, "internal/ci/") {
				packages = append(packages, pkg)
			}
		}
	}
	if len(packages) == 0 {
		return "", nil, fmt.Errorf("no package with tests matches %q", patterns)
	}
	return root, packages, nil
}

const module = "github.com/seed-cb702d51/tfork-go/"

// eachTwo calls f for every suite, two at a time, and returns the first error.
func (s *Stage) eachTwo(f func(pkg string) error) error {
	var wg sync.WaitGroup
	// More at a time would only take memory: the linker is what is slow.
	slots := make(chan struct{}, 2)
	errs := make(chan error, len(s.Suites))
	for _, pkg := range s.Suites {
		slots <- struct{}{}
		wg.Go(func() {
			errs <- f(pkg)
			<-slots
		})
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// add builds one test binary, and copies its testdata beside it.
func (s *Stage) add(ctx context.Context, root, pkg string) error {
	dir := filepath.Join(s.Dir, pkg)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := goStatic(ctx, "test", "-c", "-o", filepath.Join(dir, Binary), module+pkg); err != nil {
		return err
	}
	data := filepath.Join(root, pkg, "testdata")
	if _, err := os.Stat(data); err != nil {
		return nil // most packages have none
	}
	return os.CopyFS(filepath.Join(dir, "testdata"), os.DirFS(data))
}

// copyDocs brings the documents along: some tests hold them to what is true.
func (s *Stage) copyDocs(root string) error {
	docs, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(s.Dir, "docs"), 0o755); err != nil {
		return err
	}
	for _, doc := range docs {
		b, err := os.ReadFile(doc)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(s.Dir, "docs", filepath.Base(doc)), b, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// goStatic runs a go command whose product needs no library and no symbols.
func goStatic(ctx context.Context, verb string, args ...string) error {
	cmd := exec.CommandContext(ctx, "go", append([]string{verb, "-trimpath", "-ldflags=-s -w"}, args...)...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go %s %s: %w\n%s", verb, args[len(args)-1], err, out)
	}
	return nil
}

// output runs a program, whose complaints become part of the error.
func output(ctx context.Context, program string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, program, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w\n%s", program, args[0], err, &stderr)
	}
	return string(out), nil
}
