// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package fuzz

import (
	"os"
	"path/filepath"
	"strings"
)

// runs is a scenario that changes a command, runs it and notes everything.
func runs(edit func(f fields), name string, arg ...string) func(*trial) {
	return func(r *trial) {
		c := r.command(plainly, name, arg...)
		if edit != nil {
			edit(c.fields())
		}
		r.noteCmd(c)
		r.noteErr("Run", c.Run())
		r.noteState(c)
	}
}

// views is a scenario that starts the program that does nothing, and looks at
// what it took over.
func views(edit func(f fields), arg ...string) func(*trial) {
	return func(r *trial) {
		pause, err := filepath.Abs("pause")
		r.noteErr("Abs", err)
		c := r.command(plainly, pause, arg...)
		if edit != nil {
			edit(c.fields())
		}
		r.noteView(c)
	}
}

// noteView starts c, which does not end by itself, and notes what it took over.
func (r *trial) noteView(c command) {
	r.noteCmd(c)
	err := c.Start()
	r.noteErr("Start", err)
	if err != nil {
		r.noteErr("Wait", c.Wait())
		return
	}
	r.note("view", strings.Join(view(pidOf(c)), "\n"))
	r.noteErr("Kill", c.process().Kill())
	r.noteErr("Wait", c.Wait())
	r.noteState(c)
}

// noteCmd notes what a command says about itself.
func (r *trial) noteCmd(c command) {
	f := c.fields()
	if len(*f.Args) > 0 { // difference "String of a Cmd without Args"
		r.note("String", c.String())
	}
	r.note("Environ", strings.Join(c.Environ(), "\n"))
	r.note("Path", *f.Path)
	r.note("Args", *f.Args)
	r.noteErr("Err", *f.Err)
	r.note("process", pidOf(c) != 0)
}

func dir(d string) func(f fields) { return func(f fields) { *f.Dir = d } }

func path(p string) func(f fields) { return func(f fields) { *f.Path = p } }

func env(e ...string) func(f fields) { return func(f fields) { *f.Env = e } }

func both(edits ...func(f fields)) func(f fields) {
	return func(f fields) {
		for _, e := range edits {
			e(f)
		}
	}
}

// long is an argument of n bytes.
func long(n int) string { return strings.Repeat("x", n) }

// many returns n arguments of size bytes.
func many(n, size int) []string {
	args := make([]string, n)
	for i := range args {
		args[i] = long(size)
	}
	return args
}

var programScenarios = []scenario{
	{"found in PATH", runs(nil, "true")},
	{"not found in PATH", runs(nil, "missing-program")},
	{"absolute", runs(nil, "/bin/true")},
	{"absolute and missing", runs(nil, "/missing/program")},
	{"relative", runs(nil, "./exit3")},
	{"relative and missing", runs(nil, "./missing")},
	{"relative with Dir", runs(dir("sub"), "./exit7")},
	{"relative with Dir, missing there", runs(dir("sub"), "./exit3")},
	{"relative without Dir, missing here", runs(nil, "./exit7")},
	{"relative Path field with Dir", runs(both(path("exit7"), dir("sub")), "true")},
	{"relative Path field", runs(path("exit3"), "true")},
	{"not executable", runs(nil, "./data")},
	{"directory", runs(nil, "./sub")},
	{"no program format", runs(nil, "./garbage")},
	{"no interpreter", runs(nil, "./script")},
	{"link to itself", runs(nil, "./loop")},
	{"file as directory", runs(nil, "./data/x")},
	{"name too long", runs(nil, "./"+long(300))},
	{"path too long", runs(nil, "/"+long(5000))},
	{"empty name", runs(nil, "")},
	{"empty Path and Args", runs(func(f fields) { *f.Path, *f.Args, *f.Err = "", nil, nil }, "x")},
	{"name with NUL", runs(nil, "/bin/tr\x00ue")},
	{"argument with NUL", runs(nil, "/bin/true", "a\x00b")},
	{"name is a dot", runs(nil, ".")},
	{"name with slash at the end", runs(nil, "/bin/true/")},
	{"Err set by hand", runs(func(f fields) { *f.Err = errPlanted }, "true")},
	{"PATH with a dot", func(r *trial) {
		old := os.Getenv("PATH")
		os.Setenv("PATH", ".:"+old)
		r.defers(func() { os.Setenv("PATH", old) })
		runs(nil, "exit3")(r)
	}},
	{"no Args", views(func(f fields) { *f.Args = nil })},
	{"empty Args", views(func(f fields) { *f.Args = []string{} })},
	{"empty argument", views(nil, "", "a", "")},
	{"other argv[0]", views(func(f fields) { *f.Args = []string{"other name", "b"} })},
	{"one long argument", views(nil, long(100_000))},
	{"argument beyond the kernel's limit", runs(nil, "/bin/true", long(200_000))},
	{"a MiB of arguments", runs(nil, "/bin/true", many(16, 65_000)...)},
	{"more arguments than the kernel takes", runs(nil, "/bin/true", many(110, 65_000)...)},
	{"plain", views(nil)},
	{"Dir", views(dir("sub"))},
	{"Dir absolute", views(dir("/"))},
	{"Dir unclean", views(dir("sub/../sub/."))},
	{"Dir missing", runs(dir("missing"), "/bin/true")},
	{"Dir a file", runs(dir("data"), "/bin/true")},
	{"Dir with NUL", runs(dir("a\x00b"), "/bin/true")},
	{"Dir missing and program missing", runs(dir("missing"), "/missing")},
	{"Dir missing with attributes", runs(both(dir("missing"), noAttributes), "/bin/true")},
	{"Dir a link to itself", runs(dir("loop"), "/bin/true")},
	{"working directory deleted", func(r *trial) {
		old, _ := os.Getwd()
		os.Mkdir("deleted", 0o755)
		os.Chdir("deleted")
		r.defers(func() { os.Chdir(old) })
		os.Remove(filepath.Join(old, "deleted"))
		runs(nil, "/bin/true")(r)
		runs(dir("missing"), "/bin/true")(r)
		c := r.command(plainly, filepath.Join(old, "pause"))
		r.noteView(c)
	}},
}

var environmentScenarios = []scenario{
	{"inherited", views(nil)},
	{"inherited with Dir", views(dir("sub"))},
	{"PWD of our own with Dir", views(both(dir("sub"), env("PWD=/elsewhere", "A=1")))},
	{"empty", views(env())},
	{"nil entry list of length 0", views(func(f fields) { *f.Env = []string{} })},
	{"duplicates", views(env("A=1", "B=2", "A=3", "C=4", "B=5"))},
	{"duplicates that differ in case", views(env("a=1", "A=2"))},
	{"empty entries", views(env("", "A=1", ""))},
	{"no equal sign", views(env("A", "B=1", "A"))},
	{"keys that begin with an equal sign", views(env("=x", "=x=1", "=x=2", "=", "=="))},
	{"empty values", views(env("A=", "A", "B="))},
	{"NUL", runs(env("A=1", "B=a\x00b"), "/bin/true")},
	{"NUL in a key", runs(env("A\x00=1"), "/bin/true")},
	{"NUL in a duplicate that does not count", runs(env("A=a\x00b", "A=1"), "/bin/true")},
	{"NUL with Dir missing", runs(both(env("A=a\x00b"), dir("missing")), "/bin/true")},
	{"large", views(env("A=" + long(120_000)))},
	{"larger than the kernel takes", runs(env("A="+long(140_000)), "/bin/true")},
	{"many", views(func(f fields) {
		for i := range 2000 {
			*f.Env = append(*f.Env, "K"+string(rune('a'+i%26))+strings.Repeat("k", i/26)+"=v")
		}
	})},
	{"invalid UTF-8", views(env("A=\xff\xfe", "\xff=1"))},
	{"new lines", views(env("A=1\n2", "B\n=3"))},
	{"variable of the caller's", func(r *trial) {
		os.Setenv("TFORK_FUZZ_VARIABLE", "set")
		r.defers(func() { os.Unsetenv("TFORK_FUZZ_VARIABLE") })
		views(nil)(r)
	}},
}
