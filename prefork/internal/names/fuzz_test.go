// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package names

import (
	"strings"
	"testing"
)

// FuzzSplit holds for any file name: parts that make the same name again, or
// nothing. What tells apart processes of one place is no part.
func FuzzSplit(f *testing.F) {
	for _, name := range []string{
		Name(Supervisor, "", 0, 0), Name(Master, "http", 0, 0), Name(Worker, "http", 7, 0),
		Name(Worker, "a-b", 7, 12), "prefork-worker-http-+1", "prefork-worker--1", "prefork-worker-x-007", "prefork-",
	} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		role, service, instance, ok := Split(name)
		if !ok {
			return
		}
		if instance < -1 || (instance == -1) == (role == Worker) {
			t.Errorf("%q: instance %d of a %s", name, instance, role)
		}
		again := Name(role, service, instance, 0)
		r, s, i, ok := Split(again)
		if !ok || r != role || s != service || i != instance {
			t.Errorf("%q is %s %q %d, and %q is %s %q %d", name, role, service, instance, again, r, s, i)
		}
		if strings.ContainsRune(service, '+') {
			t.Errorf("%q: service %q", name, service)
		}
	})
}
