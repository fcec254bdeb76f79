// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package tfork

import (
	"os/exec"
	"runtime"
	"slices"
	"testing"
)

// FuzzEnviron holds the environment against that of os/exec.
func FuzzEnviron(f *testing.F) {
	f.Add("A=1", "A=2", "B", "")
	f.Add("=C:=x", "=C:=y", "==", "=")
	f.Add("A\x00=1", "A", "A=", "AB=1")
	f.Fuzz(func(t *testing.T, a, b, c, d string) {
		if runtime.GOOS == "windows" {
			t.Skip("keys have no case there")
		}
		env := []string{a, b, c, d}
		want := (&exec.Cmd{Env: env}).Environ()
		got := (&Cmd{Env: env}).Environ()
		if !slices.Equal(got, want) {
			t.Errorf("%q: got %q, os/exec %q", env, got, want)
		}
	})
}
