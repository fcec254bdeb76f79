// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package debian

import (
	"slices"
	"strings"
	"testing"
)

func TestSources_BothForms(t *testing.T) {
	const stanzas = `Types: deb
# a comment
URIs: http://one.test/debian
Suites: bookworm bookworm-updates
Components: main

Types: deb
URIs: http://two.test/debian-security
Suites: bookworm-security
`
	const lines = `# deb http://no.test/debian sid main
deb http://other.test/apt cloud-sdk-bookworm main
deb [arch=amd64 signed-by=/k] http://one.test/debian bookworm main
deb http://two.test/debian-security bookworm-security main
deb http://late.test/debian sid main
`
	want := Sources{Main: "http://one.test/debian", Security: "http://two.test/debian-security"}
	var a, b Sources
	a.addStanzas(strings.NewReader(stanzas))
	b.addLines(strings.NewReader(lines))
	if a != want || b != want {
		t.Errorf("got %v and %v, want %v", a, b, want)
	}
	if a.of("trixie-security") != want.Security || a.of("trixie-backports") != want.Main {
		t.Error("a suite is taken from the wrong address")
	}
}

func TestCompareNatural(t *testing.T) {
	want := []string{
		"linux-image-5.10.0-9-cloud", "linux-image-5.10.0-46-cloud", "linux-image-6.1.0-56-cloud",
		"linux-image-6.12.9+deb13-cloud", "linux-image-6.12.95+deb13-cloud", "linux-image-6.12.107-cloud",
	}
	got := slices.Clone(want)
	slices.Reverse(got)
	slices.SortFunc(got, compareNatural)
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}
