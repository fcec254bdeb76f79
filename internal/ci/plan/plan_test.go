// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestWriter_OneRecordPerLine(t *testing.T) {
	want := []Record{{Kind: Boot, Text: "6.1"}, {Kind: Out, Run: 3, Text: "\x16--- PASS: T\n"}, {Kind: Done}}
	var b bytes.Buffer
	w := NewWriter(&b)
	for _, r := range want {
		if err := w.Send(r); err != nil {
			t.Fatal(err)
		}
	}
	// A serial line may turn every line feed into two characters.
	serial := strings.ReplaceAll(b.String(), "\n", "\r\n")
	var got []Record
	Lines(strings.NewReader(serial), func(line []byte) {
		var r Record
		if err := json.Unmarshal(line, &r); err != nil {
			t.Errorf("%q: %v", line, err)
		}
		got = append(got, r)
	})
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-sent +received)\n%s", diff)
	}
}

func TestLines(t *testing.T) {
	var got []string
	Lines(strings.NewReader("one\r\ntwo\n\nrest"), func(b []byte) { got = append(got, string(b)) })
	if strings.Join(got, "|") != "one|two|" {
		t.Errorf("got %q", got)
	}
}
