// Package plain makes text that comes from elsewhere safe to show: names, errors and
// logs of other processes may have what moves a terminal's cursor, colours it, or turns
// the order of words around. Such characters are shown as escapes.
//
// Escaped are the controls C0 and C1 and DEL, what overrides the direction of text
// (U+202A to U+202E, U+2066 to U+2069), the separators U+2028 and U+2029, and bytes that
// are not UTF-8. All else stays as it is: umlauts, Chinese, emoji that are put together.
// What an escape looks like (\u001b, \r, \xff) is free of them, so that escaping twice is
// escaping once, and JSON text remains JSON.
package plain

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"unicode/utf8"
)

// Text returns s with escapes. Line breaks and tabs stay.
func Text(s string) string { return escape(s, false) }

// Line returns s with escapes also for line breaks and tabs, for words in a sentence, a
// line of a log, or the cell of a table.
func Line(s string) string { return escape(s, true) }

func escape(s string, line bool) string {
	at := first(s, line)
	if at < 0 {
		return s
	}
	var b strings.Builder
	b.WriteString(s[:at])
	for s = s[at:]; s != ""; {
		r, n := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[0])
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\n' && line:
			b.WriteString(`\n`)
		case r == '\t' && line:
			b.WriteString(`\t`)
		case moves(r):
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteString(s[:n])
		}
		s = s[n:]
	}
	return b.String()
}

// first returns where the first character is that is to be escaped, or -1.
func first(s string, line bool) int {
	for i, r := range s {
		switch {
		case line && (r == '\n' || r == '\t'), moves(r):
			return i
		case r == utf8.RuneError:
			if _, n := utf8.DecodeRuneInString(s[i:]); n == 1 {
				return i
			}
		}
	}
	return -1
}

// moves reports whether a terminal does something else with r than showing it.
func moves(r rune) bool {
	switch {
	case r == '\n', r == '\t':
		return false
	case r < ' ', r >= 0x7f && r < 0xa0: // C0, DEL, C1
		return true
	}
	return r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 || r == 0x2028 || r == 0x2029
}

// A Writer writes Text. A character may be in pieces: its beginning waits for the rest. Its
// methods may be called concurrently; each Write is one to the writer below.
type Writer struct {
	w    io.Writer
	mu   sync.Mutex
	rest []byte // of a character, less than utf8.UTFMax bytes
}

// NewWriter returns a Writer to w.
func NewWriter(w io.Writer) *Writer { return &Writer{w: w} }

// Unwrap returns the writer below, for bytes that are no text.
func (p *Writer) Unwrap() io.Writer { return p.w }

// Write writes b as Text.
func (p *Writer) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	text := string(p.rest) + string(b)
	whole := len(text) - incomplete(text)
	p.rest = append(p.rest[:0], text[whole:]...)
	if whole == 0 {
		return len(b), nil
	}
	if _, err := io.WriteString(p.w, Text(text[:whole])); err != nil {
		return 0, err
	}
	return len(b), nil
}

// Flush writes what has waited in vain for the rest of its character.
func (p *Writer) Flush() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.rest) == 0 {
		return nil
	}
	text := Text(string(p.rest))
	p.rest = p.rest[:0]
	_, err := io.WriteString(p.w, text)
	return err
}

// incomplete returns how many bytes at the end of s begin a character that does not end.
func incomplete(s string) int {
	for n := 1; n < utf8.UTFMax && n <= len(s); n++ {
		if tail := s[len(s)-n:]; utf8.RuneStart(tail[0]) {
			if utf8.FullRuneInString(tail) {
				return 0
			}
			return n
		}
	}
	return 0
}
