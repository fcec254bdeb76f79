// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package jobs

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// What can be wrong with a line.
var (
	ErrQuote     = errors.New("this quote is never closed")
	ErrBackslash = errors.New("nothing follows this backslash")
	ErrNUL       = errors.New("NUL byte: no argument can hold one")
	ErrEmpty     = errors.New("the command is empty")
	ErrTooLong   = fmt.Errorf("line is longer than %d bytes", MaxLine)
)

// SplitError says where in a line the mistake is.
type SplitError struct {
	// Column counts characters from 1.
	Column int
	Err    error
}

// Error returns "column N: what".
func (e *SplitError) Error() string { return fmt.Sprintf("column %d: %v", e.Column, e.Err) }

// Unwrap returns what is wrong, one of this package's errors.
func (e *SplitError) Unwrap() error { return e.Err }

// Split returns the words of one line, none for a blank line or a comment. The
// rules are the shell's:
//
//   - Blanks (space, tab) part words.
//   - 'single quotes' keep everything; "double quotes" too, except that a
//     backslash there takes the meaning of a following ", \, $ or ` away.
//   - Outside of quotes a backslash keeps the next character.
//   - A # where a word could begin starts a comment.
//
// The first word is the program and must not be empty. Errors are
// [*SplitError].
func Split(line string) ([]string, error) {
	s := splitter{line: line}
	for s.pos < len(line) {
		if err := s.step(); err != nil {
			return nil, err
		}
	}
	s.endWord()
	if len(s.words) > 0 && s.words[0] == "" {
		return nil, &SplitError{Column: s.column(s.first), Err: ErrEmpty}
	}
	return s.words, nil
}

// splitter is the state between two characters outside of quotes.
type splitter struct {
	line  string
	pos   int
	words []string
	word  strings.Builder
	open  bool // a word has begun, perhaps an empty one in quotes
	first int  // where the first word began
}

// step takes one character outside of quotes, or one quoted piece.
func (s *splitter) step() error {
	start, c := s.pos, s.line[s.pos]
	s.pos++
	switch {
	case c == ' ' || c == '\t':
		s.endWord()
		return nil
	case c == '#' && !s.open:
		s.pos = len(s.line)
		return nil
	}
	s.beginWord(start)
	switch c {
	case 0:
		return s.fail(start, ErrNUL)
	case '\'':
		return s.single(start)
	case '"':
		return s.double(start)
	case '\\':
		if s.pos == len(s.line) {
			return s.fail(start, ErrBackslash)
		}
		return s.keep()
	}
	s.word.WriteByte(c)
	return nil
}

// keep takes the next byte as it is.
func (s *splitter) keep() error {
	if s.line[s.pos] == 0 {
		return s.fail(s.pos, ErrNUL)
	}
	s.word.WriteByte(s.line[s.pos])
	s.pos++
	return nil
}

func (s *splitter) single(start int) error {
	for s.pos < len(s.line) {
		if s.line[s.pos] == '\'' {
			s.pos++
			return nil
		}
		if err := s.keep(); err != nil {
			return err
		}
	}
	return s.fail(start, ErrQuote)
}

func (s *splitter) double(start int) error {
	for s.pos < len(s.line) {
		switch c := s.line[s.pos]; {
		case c == '"':
			s.pos++
			return nil
		case c == '\\' && s.pos+1 < len(s.line) && strings.IndexByte("\"\\$`", s.line[s.pos+1]) >= 0:
			s.pos++
		}
		if err := s.keep(); err != nil {
			return err
		}
	}
	return s.fail(start, ErrQuote)
}

func (s *splitter) beginWord(at int) {
	if !s.open && len(s.words) == 0 {
		s.first = at
	}
	s.open = true
}

func (s *splitter) endWord() {
	if s.open {
		s.words = append(s.words, s.word.String())
	}
	s.word.Reset()
	s.open = false
}

func (s *splitter) fail(at int, err error) error {
	return &SplitError{Column: s.column(at), Err: err}
}

func (s *splitter) column(at int) int { return utf8.RuneCountInString(s.line[:at]) + 1 }

// Quote returns a line that [Split] turns into words again, if no word holds a
// newline or a NUL byte. Words that need no quotes get none.
func Quote(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = quoteWord(w)
	}
	return strings.Join(quoted, " ")
}

// plain tells whether neither [Split] nor a shell would change the word.
func plain(w string) bool {
	const safe = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=:,./@%^"
	return w != "" && strings.Trim(w, safe) == ""
}

func quoteWord(w string) string {
	if plain(w) {
		return w
	}
	return "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
}
