// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package vm

import (
	"debug/elf"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// libraryDirs are where a Debian machine's programs find their libraries.
var libraryDirs = []string{"/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib64"}

// Program adds a program of the host under the same path, with the libraries
// and the loader that it needs.
func (a *Archive) Program(path string) {
	if a.has[path] {
		return
	}
	a.has[path] = true
	a.Copy(path, path)
	loader, libraries, err := needs(path)
	if err != nil {
		a.fail(fmt.Errorf("program %s: %w", path, err))
		return
	}
	if loader != "" {
		a.Program(loader)
	}
	for _, name := range libraries {
		lib, err := findLibrary(name)
		if err != nil {
			a.fail(err)
			return
		}
		a.Program(lib)
	}
}

// needs reads an ELF file's loader and libraries.
func needs(path string) (loader string, libraries []string, err error) {
	f, err := elf.Open(path)
	if err != nil {
		return "", nil, err
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type != elf.PT_INTERP {
			continue
		}
		b, err := io.ReadAll(p.Open())
		if err != nil {
			return "", nil, err
		}
		loader = strings.TrimRight(string(b), "\x00")
	}
	libraries, err = f.ImportedLibraries()
	return loader, libraries, err
}

// findLibrary returns the path of a library.
func findLibrary(name string) (string, error) {
	for _, dir := range libraryDirs {
		path := filepath.Join(dir, name)
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("library %s is in none of %s", name, strings.Join(libraryDirs, ", "))
}
