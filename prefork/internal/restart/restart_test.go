// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package restart

import (
	"errors"
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestDecide_ReferenceTable is spec §3.8, every signal of Linux included.
func TestDecide_ReferenceTable(t *testing.T) {
	restarted := map[int]bool{4: true, 6: true, 7: true, 8: true, 9: true, 11: true, 31: true}
	for sig := 1; sig <= 64; sig++ {
		want := Decision{Restart: restarted[sig]}
		if got := Decide(Outcome{Signal: sig}, nil); got != want {
			t.Errorf("signal %d: %+v, want %+v", sig, got, want)
		}
	}
	for code := range 256 {
		want := Decision{Restart: code != 0}
		if code == 0 {
			want.Calm = true
		}
		if got := Decide(Outcome{Code: code}, nil); got != want {
			t.Errorf("exit %d: %+v, want %+v", code, got, want)
		}
	}
	if got := Decide(Outcome{Lost: true}, nil); !got.Restart || got.Calm {
		t.Errorf("status not available: %+v, want a restart", got)
	}
}

func TestDecide_BeyondTheReference(t *testing.T) {
	fatal := []int{3, 4, 0}
	tests := []struct {
		name string
		o    Outcome
		want Decision
	}{
		{"start failed", Outcome{Start: errors.New("fork: no room")}, Decision{Restart: true}},
		{"fatal code", Outcome{Code: 4}, Decision{Fatal: true}},
		{"zero stays a normal end", Outcome{Code: 0}, Decision{Calm: true}},
		{"code beside them", Outcome{Code: 5}, Decision{Restart: true}},
		{"signal of that number", Outcome{Signal: 4}, Decision{Restart: true}},
		{"out of memory", Outcome{Signal: 9, OOM: true}, Decision{Restart: true}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := Decide(tt.o, fatal); got != tt.want {
				t.Errorf("Decide(%v) = %+v, want %+v", tt.o, got, tt.want)
			}
		})
	}
}

func TestOutcome_String(t *testing.T) {
	for want, o := range map[string]Outcome{
		"start: no room":           {Start: errors.New("no room")},
		"status not available":     {Lost: true},
		"signal 9 (out of memory)": {Signal: 9, OOM: true},
		"signal 11":                {Signal: 11},
		"exit status 127":          {Code: 127},
	} {
		if o.String() != want {
			t.Errorf("got %q, want %q", o, want)
		}
	}
}

// TestChain_ReferenceTable is spec §3.9, to the second.
func TestChain_ReferenceTable(t *testing.T) {
	tests := []struct {
		increment, maximum time.Duration
		want               map[int]time.Duration // death number -> seconds waited
	}{
		{10, 120, map[int]time.Duration{1: 0, 2: 10, 3: 20, 4: 30, 5: 40, 13: 120, 14: 120, 1000: 120}},
		{5, 10, map[int]time.Duration{1: 0, 2: 5, 3: 10, 4: 10, 5: 10, 13: 10, 14: 10}},
		{2, 5, map[int]time.Duration{1: 0, 2: 2, 3: 4, 4: 5, 5: 5, 13: 5, 14: 5}},
		{0, 120, map[int]time.Duration{1: 0, 2: 0, 3: 0, 13: 0, 14: 0}},
		{10, 0, map[int]time.Duration{1: 0, 2: 0, 3: 0, 13: 0, 14: 0}},
		{10, 5, map[int]time.Duration{1: 0, 2: 5, 3: 5, 13: 5, 14: 5}},
	}
	for _, tt := range tests {
		b := Backoff{Increment: tt.increment * time.Second, Maximum: tt.maximum * time.Second}
		var c Chain
		for death := 1; death <= 1000; death++ {
			got := c.Died(b, 365*24*time.Hour, 0.99) // a year's run resets nothing
			if want, listed := tt.want[death]; listed && got != want*time.Second {
				t.Errorf("%d/%d, death %d: waited %v, want %v", tt.increment, tt.maximum, death, got, want*time.Second)
			}
		}
	}
}

func TestChain_ResetAfterAGoodRun(t *testing.T) {
	b := Backoff{Increment: 10 * time.Second, Maximum: time.Minute, ResetAfter: time.Hour}
	var c Chain
	for i, step := range []struct{ ran, want time.Duration }{
		{time.Second, 0},
		{time.Second, 10 * time.Second},
		{time.Hour - 1, 20 * time.Second},
		{time.Hour, 0},
		{time.Second, 10 * time.Second},
	} {
		if got := c.Died(b, step.ran, 0); got != step.want {
			t.Errorf("step %d: waited %v, want %v", i, got, step.want)
		}
	}
}

func TestChain_JitterStaysInItsFraction(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := Backoff{
			Increment: time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "increment")),
			Maximum:   time.Duration(rapid.Int64Range(0, int64(24*time.Hour)).Draw(t, "maximum")),
		}
		plain, jittered := Chain{}, Chain{}
		for range 20 {
			want := plain.Died(b, 0, 0)
			j := b
			j.Jitter = 0.5
			got := jittered.Died(j, 0, rapid.Float64Range(0, 0.999).Draw(t, "random"))
			if got < want || got > want+want/2 {
				t.Fatalf("waited %v, want %v to %v", got, want, want+want/2)
			}
		}
	})
}

func TestNext_NeverOverflowsOrShrinks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := func(name string) time.Duration {
			return time.Duration(rapid.Int64Range(0, math.MaxInt64).Draw(t, name))
		}
		delay, increment, maximum := d("delay"), d("increment"), d("maximum")
		next := Next(delay, increment, maximum)
		if next < 0 || next > maximum || next < min(delay, maximum) {
			t.Fatalf("Next(%d, %d, %d) = %d", delay, increment, maximum, next)
		}
	})
}

func TestWindow(t *testing.T) {
	start := time.Unix(0, 0)
	w := Window{Limit: 3, Span: 10 * time.Second}
	for i, step := range []struct {
		at   time.Duration
		want bool
	}{
		{0, false},
		{1 * time.Second, false},
		{2 * time.Second, false},
		{3 * time.Second, true},
		{14 * time.Second, false}, // the first four have left the window
		{15 * time.Second, false},
		{16 * time.Second, false},
		{23 * time.Second, true},
	} {
		if got := w.Died(start.Add(step.at)); got != step.want {
			t.Errorf("death %d at %v: exceeded = %v", i, step.at, got)
		}
	}
	var none Window
	for range 1000 {
		if none.Died(start) {
			t.Fatal("a limit where none was set")
		}
	}
}
