// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package tfork

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/seed-cb702d51/tfork-go/internal/testutil"
)

var funcWhere = testFunc("where", func(*Worker) int {
	path, _ := os.Executable()
	fmt.Print(path)
	return 0
})

// TestFunc_OfAnotherFile runs a function of the program in another file, as
// after an update.
func TestFunc_OfAnotherFile(t *testing.T) {
	next := filepath.Join(t.TempDir(), "next")
	copyFile(t, testutil.Exe(), next)
	forEachStrategy(t, func(t *testing.T, m mode) {
		c := m.function(funcWhere)
		c.Path = next
		if out, err := c.Output(); err != nil || string(out) != next {
			t.Errorf("ran in %q, %v; want %q", out, err, next)
		}
	})
}
