// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package cgroup

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/seed-cb702d51/tfork-go/internal/testutil"
)

// documented finds a file of the control groups and its first kernel in a row of
// docs/kernels.md.
var documented = regexp.MustCompile("(?m)^\\| `((?:cpu|memory|cgroup)\\.[a-z.]+)`[^|]*\\| ([0-9.]+) \\|")

// TestKernels_AreTheDocumentedOnes: each file is there from its first kernel on,
// and with Debian's kernels, into which nobody puts the features of later ones,
// not before.
func TestKernels_AreTheDocumentedOnes(t *testing.T) {
	doc, err := os.ReadFile("../docs/kernels.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := documented.FindAllStringSubmatch(string(doc), -1)
	if len(rows) != 6 {
		t.Fatalf("docs/kernels.md has %d rows of files: %q", len(rows), rows)
	}
	for _, row := range rows {
		name, since := row[1], row[2]
		t.Run(name, func(t *testing.T) {
			need := Limits{}
			if strings.HasPrefix(name, "memory.") {
				need.MemoryMax = GiB
			}
			g := limited(t, need)
			testutil.NeedFeature(t, since, func() error {
				_, err := os.Stat(filepath.Join(g.Path(), name))
				if errors.Is(err, os.ErrNotExist) {
					return notSupported(name, "Linux "+since, err)
				}
				return err
			})
			if testutil.DebianKernel() && !testutil.KernelAtLeast(since) {
				t.Errorf("is here before Linux %s", since)
			}
		})
	}
}
