// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package debian

import (
	"bufio"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Sources are the two base addresses that a Debian machine is configured with.
type Sources struct {
	Main     string // of suites such as trixie and trixie-backports
	Security string // of suites such as trixie-security
}

// errNoSources says that nothing in the machine's apt sources looks like Debian.
var errNoSources = errors.New("no Debian entry in the apt sources of this machine")

// MachineSources reads them from /etc/apt.
func MachineSources() (Sources, error) {
	files, err := filepath.Glob("/etc/apt/sources.list.d/*")
	if err != nil {
		return Sources{}, err
	}
	var s Sources
	for _, name := range append([]string{"/etc/apt/sources.list"}, files...) {
		f, err := os.Open(name)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return Sources{}, err
		}
		if strings.HasSuffix(name, ".sources") {
			s.addStanzas(f)
		} else {
			s.addLines(f)
		}
		f.Close()
	}
	if s.Main == "" {
		return s, errNoSources
	}
	return s, nil
}

// of returns the base address for a suite, or "".
func (s Sources) of(suite string) string {
	if strings.HasSuffix(suite, "-security") {
		return s.Security
	}
	return s.Main
}

// add takes an address if its suites are Debian's and none was found before.
func (s *Sources) add(uri string, suites []string) {
	if !strings.Contains(uri, "://") || !slices.ContainsFunc(suites, isDebian) {
		return
	}
	security := slices.ContainsFunc(suites, func(s string) bool { return strings.HasSuffix(s, "-security") })
	switch {
	case security && s.Security == "":
		s.Security = uri
	case !security && s.Main == "":
		s.Main = uri
	}
}

// addStanzas reads the deb822 form: fields in paragraphs.
func (s *Sources) addStanzas(r io.Reader) {
	var uri string
	var suites []string
	end := func() {
		s.add(uri, suites)
		uri, suites = "", nil
	}
	for sc := bufio.NewScanner(r); sc.Scan(); {
		line := sc.Text()
		if strings.TrimSpace(line) == "" {
			end()
			continue
		}
		switch f := strings.Fields(line); strings.ToLower(f[0]) {
		case "uris:":
			if len(f) > 1 {
				uri = f[1]
			}
		case "suites:":
			suites = f[1:]
		}
	}
	end()
}

// addLines reads the one-line form: deb [options] uri suite component...
func (s *Sources) addLines(r io.Reader) {
	for sc := bufio.NewScanner(r); sc.Scan(); {
		rest, ok := strings.CutPrefix(strings.TrimSpace(sc.Text()), "deb ")
		if !ok {
			continue
		}
		if rest = strings.TrimSpace(rest); strings.HasPrefix(rest, "[") {
			_, rest, _ = strings.Cut(rest, "]")
		}
		if f := strings.Fields(rest); len(f) >= 2 {
			s.add(f[0], f[1:2])
		}
	}
}

// isDebian tells whether a suite's name is one of Debian's.
func isDebian(suite string) bool {
	base, _, _ := strings.Cut(suite, "-")
	base, _, _ = strings.Cut(base, "/")
	return slices.Contains([]string{
		"bullseye", "bookworm", "trixie", "forky", "duke", "sid",
		"oldoldstable", "oldstable", "stable", "testing", "unstable",
	}, base)
}
