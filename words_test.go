// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package tforkgo_test

import (
	"bytes"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// unwanted is text that says nothing to a reader of this repository: notes to
// oneself, paths of one machine, numbers of somebody's tracker, and hosts that
// another machine may not reach.
var unwanted = regexp.MustCompile(`\b(TODO|FIXME|XXX|HACK)\b|/(work|Users)/[a-z]|(?i:\bissues?[ /]#?\d+\b)|proxy\.golang\.org|\bdeb\.debian\.org`)

func TestText_SpeaksToTheReader(t *testing.T) {
	err := walk(func(name string, text []byte) error {
		if name == "words_test.go" || name == "go.sum" || bytes.IndexByte(text, 0) >= 0 {
			return nil
		}
		n := 0
		for l := range strings.Lines(string(text)) {
			n++
			if found := unwanted.FindString(l); found != "" {
				t.Errorf("%s:%d: %q", name, n, found)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// maxReadmeLines keeps the first page one that is read.
const maxReadmeLines = 80

func TestReadme_IsShort(t *testing.T) {
	b, err := os.ReadFile("README.md")
	if err != nil {
		t.Skip("no README.md yet")
	}
	if n := bytes.Count(b, []byte{'\n'}); n > maxReadmeLines {
		t.Errorf("README.md has %d lines, more than %d", n, maxReadmeLines)
	}
}

// link is the target of a Markdown link.
var link = regexp.MustCompile(`\]\(([^)#\s]+)(?:#[^)\s]*)?\)`)

func TestDocs_LinksLeadSomewhere(t *testing.T) {
	err := walk(func(name string, text []byte) error {
		if path.Ext(name) != ".md" {
			return nil
		}
		for _, m := range link.FindAllStringSubmatch(string(text), -1) {
			target := m[1]
			if strings.Contains(target, "://") {
				continue
			}
			if _, err := os.Stat(filepath.Join(filepath.Dir(name), target)); err != nil {
				t.Errorf("%s links to %s, which does not exist", name, target)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestScripts_AreExecutable(t *testing.T) {
	scripts, err := filepath.Glob(".ci/*")
	if err != nil || len(scripts) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, s := range scripts {
		if fi, err := os.Stat(s); err != nil || fi.Mode()&0o111 == 0 {
			t.Errorf("%s: %v, not executable", s, err)
		}
	}
}
