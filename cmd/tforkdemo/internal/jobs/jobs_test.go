// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package jobs

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

func TestSplit_Words(t *testing.T) {
	for _, tt := range []struct {
		name, line string
		want       []string
	}{
		{"plain", "convert a.png b.jpg", []string{"convert", "a.png", "b.jpg"}},
		{"many blanks", " \t a \t b  ", []string{"a", "b"}},
		{"blank line", " \t ", nil},
		{"comment", "  # nothing here", nil},
		{"comment after words", "a b # c", []string{"a", "b"}},
		{"number sign inside a word", "a b#c '#' \\#", []string{"a", "b#c", "#", "#"}},
		{"single quotes", `a 'b  "c" \n $x'`, []string{"a", `b  "c" \n $x`}},
		{"double quotes", `a "b  'c'" "d\"e\\f\$g\` + "`" + `h\ni"`, []string{"a", "b  'c'", `d"e\f$g` + "`" + `h\ni`}},
		{"backslash", `a\ b \\ \' \"`, []string{"a b", `\`, "'", `"`}},
		{"pieces of one word", `a"b "'c 'd\ e`, []string{"ab c d e"}},
		{"empty arguments", `a '' ""`, []string{"a", "", ""}},
		{"nothing is expanded", "echo $HOME * ~ a|b >c ;d & `e` $(f)", []string{"echo", "$HOME", "*", "~", "a|b", ">c", ";d", "&", "`e`", "$(f)"}},
		{"characters of several bytes", `ä "ö ü" \é`, []string{"ä", "ö ü", "é"}},
		{"bytes that are no characters", "a \xff\xfe", []string{"a", "\xff\xfe"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Split(tt.line)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(got, tt.want); diff != "" {
				t.Errorf("Split(%q), got before want:\n%s", tt.line, diff)
			}
		})
	}
}

func TestSplit_Mistakes(t *testing.T) {
	for _, tt := range []struct {
		name, line string
		column     int
		want       error
	}{
		{"open single quote", "echo 'a b", 6, ErrQuote},
		{"open double quote", `echo a"b \" c`, 7, ErrQuote},
		{"backslash at the end", `echo a\`, 7, ErrBackslash},
		{"backslash at the end in quotes", `echo "a\`, 6, ErrQuote},
		{"columns are characters", `ä ö "ü`, 5, ErrQuote},
		{"NUL", "echo a\x00b", 7, ErrNUL},
		{"NUL in quotes", "echo 'a\x00b'", 8, ErrNUL},
		{"NUL after a backslash", "echo \\\x00", 7, ErrNUL},
		{"empty command", `  '' a`, 3, ErrEmpty},
	} {
		t.Run(tt.name, func(t *testing.T) {
			words, err := Split(tt.line)
			var e *SplitError
			if words != nil || !errors.As(err, &e) || !errors.Is(err, tt.want) || e.Column != tt.column {
				t.Errorf("Split(%q) = %q, %v; want column %d: %v", tt.line, words, err, tt.column, tt.want)
			}
		})
	}
}

// readAll reads to the end; errors of lines become text.
func readAll(t *testing.T, r *Reader) (jobs []Job, broken []string) {
	t.Helper()
	for {
		j, err := r.Next()
		var e *Error
		switch {
		case err == io.EOF:
			return jobs, broken
		case errors.As(err, &e):
			broken = append(broken, err.Error())
		case err != nil:
			t.Fatal(err)
		default:
			jobs = append(jobs, j)
		}
	}
}

func TestReader_GoesOnAfterABrokenLine(t *testing.T) {
	text := "a 1\n\n# comment\r\nb '2\nc 3\r\n\\\n  \"\" x\nd 4"
	jobs, broken := readAll(t, NewReader("jobs.txt", iotest.OneByteReader(strings.NewReader(text))))
	want := []Job{{1, []string{"a", "1"}}, {5, []string{"c", "3"}}, {8, []string{"d", "4"}}}
	if diff := cmp.Diff(jobs, want); diff != "" {
		t.Errorf("jobs, got before want:\n%s", diff)
	}
	wantBroken := []string{
		"jobs.txt:4:3: this quote is never closed",
		"jobs.txt:6:1: nothing follows this backslash",
		"jobs.txt:7:3: the command is empty",
	}
	if diff := cmp.Diff(broken, wantBroken); diff != "" {
		t.Errorf("broken lines, got before want:\n%s", diff)
	}
}

func TestReader_SkipsALineThatIsTooLong(t *testing.T) {
	text := "a\n" + strings.Repeat("x", MaxLine+1) + "\nb\n" + strings.Repeat("y", MaxLine-1) + "\n"
	jobs, broken := readAll(t, NewReader("f", strings.NewReader(text)))
	if len(jobs) != 3 || jobs[1].Line != 3 || len(jobs[2].Args[0]) != MaxLine-1 {
		t.Errorf("%d jobs, want those of lines 1, 3 and 4", len(jobs))
	}
	if len(broken) != 1 || !strings.HasPrefix(broken[0], "f:2: line is longer than") {
		t.Errorf("broken lines: %q", broken)
	}
}

func TestReader_ReturnsTheReadersError(t *testing.T) {
	bad := errors.New("disk on fire")
	r := NewReader("f", io.MultiReader(strings.NewReader("a\nb"), iotest.ErrReader(bad)))
	if j, err := r.Next(); err != nil || j.Line != 1 {
		t.Fatalf("first line: %v, %v", j, err)
	}
	if j, err := r.Next(); err != bad {
		t.Errorf("got %v, %v; want the reader's error", j, err)
	}
}

func TestQuote_LeavesPlainWordsAlone(t *testing.T) {
	got := Quote([]string{"sh", "-c", "echo 'hi' $x", "", "a=b"})
	if want := `sh -c 'echo '\''hi'\'' $x' '' a=b`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func FuzzSplit(f *testing.F) {
	for _, s := range []string{"a b", `'a "b' "c\"d" e\ f`, "# x", `"`, `\`, "a\x00", "'' x", "ä 'ö"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		words, err := Split(line)
		if err != nil {
			var e *SplitError
			if words != nil || !errors.As(err, &e) || e.Column < 1 || e.Column > len(line) {
				t.Fatalf("Split(%q) = %q, %v", line, words, err)
			}
			return
		}
		if len(words) > 0 && words[0] == "" {
			t.Fatalf("Split(%q): empty command", line)
		}
		again, err := Split(Quote(words))
		if diff := cmp.Diff(again, words); err != nil || diff != "" {
			t.Fatalf("Split(Quote(%q)): %v\n%s", words, err, diff)
		}
	})
}

func FuzzReader(f *testing.F) {
	f.Add("a 1\nb '2\n\nc 3\r\n")
	f.Add("\\\n\x00\n''\nd")
	f.Fuzz(func(t *testing.T, text string) {
		jobs, broken := readAll(t, NewReader("f", strings.NewReader(text)))
		if lines := strings.Count(text, "\n") + 1; len(jobs)+len(broken) > lines {
			t.Fatalf("%d jobs and %d broken lines of %d lines", len(jobs), len(broken), lines)
		}
		last := 0
		for _, j := range jobs {
			if j.Line <= last || len(j.Args) == 0 {
				t.Fatalf("job %v after line %d", j, last)
			}
			last = j.Line
		}
	})
}
