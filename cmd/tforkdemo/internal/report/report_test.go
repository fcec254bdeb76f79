// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package report

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/seed-cb702d51/tfork-go/cmd/tforkdemo/internal/batch"
)

func TestSummary_Percentiles(t *testing.T) {
	for _, tt := range []struct {
		n        int
		p50, p99 time.Duration
	}{
		{0, 0, 0},
		{1, 1, 1},
		{2, 1, 2},
		{3, 2, 3},
		{100, 50, 99},
		{101, 51, 100},
		{1000, 500, 990},
	} {
		var s Summary
		for i := tt.n; i > 0; i-- {
			s.Add(batch.Result{Took: time.Duration(i)})
		}
		if p50, p99 := s.Percentile(50), s.Percentile(99); p50 != tt.p50 || p99 != tt.p99 {
			t.Errorf("1 to %d: p50 %d, p99 %d; want %d, %d", tt.n, p50, p99, tt.p50, tt.p99)
		}
	}
}

func TestSummary_CountsEachResultOnce(t *testing.T) {
	var s Summary
	refused := errors.New("refused")
	s.Add(batch.Result{Outcome: batch.OK, Guarded: true, Took: time.Millisecond})
	s.Add(batch.Result{Outcome: batch.Lost, Err: errors.New("gone"), Took: time.Second})
	for range 7 {
		s.Add(batch.Result{Outcome: batch.NotStarted, Err: refused, Took: time.Hour})
	}
	if s.Children() != 9 || s.Unguarded != 1 || s.Percentile(99) != time.Second {
		t.Errorf("children %d, unguarded %d, p99 %v", s.Children(), s.Unguarded, s.Percentile(99))
	}
	var table bytes.Buffer
	if err := s.WriteTable(&table); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"│ ok            │        1 │", "│ lost          │        1 │ gone ", "7 x refused", "│ unguarded     │        1 │", "p99 1s"} {
		if !strings.Contains(table.String(), want) {
			t.Errorf("no %q in:\n%s", want, table.String())
		}
	}
}

func TestDetails_ShowsTheMostFrequent(t *testing.T) {
	got := details(map[string]int{"a": 1, "b": 5, "c": 5, "d": 2, "e": 1, "f": 1})
	if want := "5 x b\n5 x c\n2 x d\na\n2 other kinds"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestDuration_HasThreeDigits(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", 999: "999ns", 1234: "1.23µs", 12_345_678: "12.3ms", 123_456_789: "123ms",
		1_234_567_890: "1.23s", 75 * time.Second: "1m15s",
	} {
		if got := Duration(d); got != want {
			t.Errorf("Duration(%d) = %s, want %s", d, got, want)
		}
	}
}

func TestBytes_HasAUnit(t *testing.T) {
	for n, want := range map[uint64]string{0: "0B", 1023: "1023B", 1536: "1.5KiB", 64 << 20: "64.0MiB", 1 << 50: "1024.0TiB"} {
		if got := Bytes(n); got != want {
			t.Errorf("Bytes(%d) = %s, want %s", n, got, want)
		}
	}
}

// TestProgress_KeepsMessagesOnLinesOfTheirOwn: the bar is wiped before each.
func TestProgress_KeepsMessagesOnLinesOfTheirOwn(t *testing.T) {
	var out bytes.Buffer
	p := NewProgress(&out, 3, true)
	p.Add()
	p.Printf("message\n")
	p.Add()
	p.Add()
	p.Close()
	if !strings.Contains(out.String(), " \rmessage\n") {
		t.Errorf("the bar is not wiped: %q", out.String())
	}
	out.Reset()
	p = NewProgress(&out, -1, false)
	p.Add()
	p.Printf("message\n")
	p.Close()
	if out.String() != "message\n" {
		t.Errorf("without a terminal: %q", out.String())
	}
}
