// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package role

import (
	"os"
	"runtime"
	"slices"
	"testing"
)

func TestMarker_RoundTrip(t *testing.T) {
	for _, kind := range []Kind{Worker, Waiter, Launcher} {
		want := Role{Kind: kind, FD: 7}
		got, err := parse(want.Marker()[len(envKey)+1:])
		if err != nil || got != want {
			t.Errorf("parse(%s) = %v, %v", want.Marker(), got, err)
		}
	}
}

func TestParse_Refuses(t *testing.T) {
	for _, s := range []string{"", "worker", "worker:", "worker:2", "worker:-3", "worker:3x", "king:3", "worker:99999999999", ":3"} {
		if r, err := parse(s); err == nil {
			t.Errorf("parse(%q) = %v, want an error", s, r)
		}
	}
}

func TestTake_RemovesTheMarker(t *testing.T) {
	if _, ok, _ := Take(); ok {
		t.Fatal("a marker where none was set")
	}
	t.Setenv(envKey, "worker:3")
	r, ok, err := Take()
	if !ok {
		t.Fatal("marker not seen")
	}
	if runtime.GOOS == "linux" && (err != nil || r != Role{Kind: Worker, FD: 3}) {
		t.Errorf("Take = %v, %v", r, err)
	}
	if v, ok := os.LookupEnv(envKey); ok {
		t.Errorf("marker %q still in the environment", v)
	}
}

func TestStrip(t *testing.T) {
	in := []string{"A=1", envKey + "=worker:3", "B=2", envKey + "=x"}
	if got := Strip(in); !slices.Equal(got, []string{"A=1", "B=2"}) {
		t.Errorf("Strip = %q", got)
	}
	clean := []string{"A=1"}
	if got := Strip(clean); &got[0] != &clean[0] {
		t.Error("Strip copies what needs no change")
	}
}

// FuzzParse holds for any marker: a role that makes the same marker again, or an
// error.
func FuzzParse(f *testing.F) {
	for _, kind := range []Kind{Worker, Waiter, Launcher} {
		f.Add(Role{Kind: kind, FD: 7}.Marker()[len(envKey)+1:])
	}
	f.Add("worker:007")
	f.Add("worker:2147483648")
	f.Fuzz(func(t *testing.T, s string) {
		r, err := parse(s)
		if err != nil {
			if r != (Role{}) {
				t.Errorf("%v beside the error %v", r, err)
			}
			return
		}
		again, err := parse(r.Marker()[len(envKey)+1:])
		if err != nil || again != r || r.FD < 3 {
			t.Errorf("parse(%q) = %v, and again %v, %v", s, r, again, err)
		}
	})
}
