// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package fuzz

import (
	"os/exec"
	"reflect"
	"strings"
	"testing"

	"github.com/seed-cb702d51/tfork-go/tfork"
)

// scenario is something that a program does with a command.
type scenario struct {
	name string
	play func(*trial)
}

// TestParity_DropIn is the proof that a program which uses os/exec works after
// changing the import: everything that can be observed is the same in all
// strategies.
func TestParity_DropIn(t *testing.T) {
	for _, group := range []struct {
		name      string
		scenarios []scenario
	}{
		{"program", programScenarios},
		{"environment", environmentScenarios},
		{"stdio", stdioScenarios},
		{"files", fileScenarios},
		{"end", endScenarios},
		{"context", contextScenarios},
		{"attributes", attributeScenarios},
		{"misuse", misuseScenarios},
	} {
		t.Run(group.name, func(t *testing.T) {
			enterFixture(t)
			for _, s := range group.scenarios {
				t.Run(s.name, func(t *testing.T) { compare(t, s.play) })
			}
		})
	}
}

// ownFields are those that tfork.Cmd has and exec.Cmd has not.
var ownFields = []string{"Strategy", "Dedicated", "Cgroup", "CgroupMove", "Title", "Payload"}

// TestParity_Fields holds tfork.Cmd against exec.Cmd: every exported field and
// method is there, with the same type.
func TestParity_Fields(t *testing.T) {
	theirs, ours := reflect.TypeFor[exec.Cmd](), reflect.TypeFor[tfork.Cmd]()
	for i := range theirs.NumField() {
		f := theirs.Field(i)
		if !f.IsExported() {
			continue
		}
		g, ok := ours.FieldByName(f.Name)
		if !ok || sameName(f.Type) != sameName(g.Type) {
			t.Errorf("field %s is %v, in exec.Cmd %v", f.Name, g.Type, f.Type)
		}
	}
	own := strings.Join(ownFields, " ")
	for i := range ours.NumField() {
		f := ours.Field(i)
		if _, ok := theirs.FieldByName(f.Name); !ok && f.IsExported() && !strings.Contains(own, f.Name) {
			t.Errorf("field %s is new: list it", f.Name)
		}
	}
	sameMethods(t, reflect.TypeFor[*exec.Cmd](), reflect.TypeFor[*tfork.Cmd]())
	sameMethods(t, reflect.TypeFor[*exec.ExitError](), reflect.TypeFor[*tfork.ExitError]())
	sameMethods(t, reflect.TypeOf(exec.Command("x").ProcessState), reflect.TypeFor[*tfork.ProcessState]())
	sameMethods(t, reflect.TypeOf(exec.Command("x").Process), reflect.TypeFor[*tfork.Process]())
}

func sameMethods(t *testing.T, theirs, ours reflect.Type) {
	t.Helper()
	for i := range theirs.NumMethod() {
		m := theirs.Method(i)
		n, ok := ours.MethodByName(m.Name)
		if !ok {
			t.Errorf("%v has no method %s", ours, m.Name)
			continue
		}
		if got, want := signature(n), signature(m); got != want {
			t.Errorf("%v.%s is %s, want %s", ours, m.Name, got, want)
		}
	}
}

// signature is a method's type without its receiver.
func signature(m reflect.Method) string {
	var in, out []string
	for i := 1; i < m.Type.NumIn(); i++ {
		in = append(in, sameName(m.Type.In(i)))
	}
	for i := range m.Type.NumOut() {
		out = append(out, sameName(m.Type.Out(i)))
	}
	return "func(" + strings.Join(in, ", ") + ") (" + strings.Join(out, ", ") + ")"
}

// sameName gives both packages' types the same names.
func sameName(t reflect.Type) string {
	return strings.NewReplacer(
		"*tfork.ProcessState", "*os.ProcessState", "*tfork.Process", "*os.Process",
		"*tfork.", "*exec.",
	).Replace(t.String())
}

// TestParity_PackageLevel: the functions and values beside Cmd.
func TestParity_PackageLevel(t *testing.T) {
	for _, name := range []string{"sh", "missing-program", "./missing", "/", ""} {
		got, gotErr := tfork.LookPath(name)
		want, wantErr := exec.LookPath(name)
		if got != want || describe(gotErr) != describe(wantErr) {
			t.Errorf("LookPath(%q) = %q, %v; want %q, %v", name, got, gotErr, want, wantErr)
		}
	}
	if tfork.ErrDot != exec.ErrDot || tfork.ErrNotFound != exec.ErrNotFound || tfork.ErrWaitDelay != exec.ErrWaitDelay {
		t.Error("an error value is not that of os/exec")
	}
	var e error = &tfork.Error{Name: "x", Err: tfork.ErrNotFound}
	if _, ok := e.(*exec.Error); !ok {
		t.Error("Error is another type")
	}
	for name, make := range map[string]func(){
		"os/exec": func() { exec.CommandContext(plainly, "x") },
		"tfork":   func() { tfork.CommandContext(plainly, "x") },
	} {
		func() {
			defer func() {
				if got := recover(); got != "nil Context" {
					t.Errorf("%s.CommandContext(nil) panics with %v", name, got)
				}
			}()
			make()
		}()
	}
}
