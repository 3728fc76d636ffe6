package plain

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"
)

// TestText checks what is escaped, and what is not.
func TestText(t *testing.T) {
	for _, c := range []struct{ in, text, line string }{
		{"", "", ""},
		{"Grüße, 世界 é 👩‍🚀 🏴󠁧󠁢󠁥󠁮󠁧󠁿 שלום\u200f", "Grüße, 世界 é 👩‍🚀 🏴󠁧󠁢󠁥󠁮󠁧󠁿 שלום\u200f", "Grüße, 世界 é 👩‍🚀 🏴󠁧󠁢󠁥󠁮󠁧󠁿 שלום\u200f"},
		{"\x1b[2J\x1b]0;x\a", `\u001b[2J\u001b]0;x\u0007`, `\u001b[2J\u001b]0;x\u0007`},
		{"a\r\nb\tc", "a\\r\nb\tc", `a\r\nb\tc`},
		{"\x00\x7f\u0080\u009b\u009f\u00a0", "\\u0000\\u007f\\u0080\\u009b\\u009f\u00a0", "\\u0000\\u007f\\u0080\\u009b\\u009f\u00a0"},
		{"\u202a\u202e\u2066\u2069\u2028\u2029\u200d", "\\u202a\\u202e\\u2066\\u2069\\u2028\\u2029\u200d", "\\u202a\\u202e\\u2066\\u2069\\u2028\\u2029\u200d"},
		{"a\xffb\xe4\xb8", `a\xffb\xe4\xb8`, `a\xffb\xe4\xb8`},
		{"\x9b31m", `\x9b31m`, `\x9b31m`}, // C1 as one byte
		{"\ufffd", "\ufffd", "\ufffd"},
		{`\u001b`, `\u001b`, `\u001b`},
	} {
		if got := Text(c.in); got != c.text {
			t.Errorf("Text(%q) = %q, want %q", c.in, got, c.text)
		}
		if got := Line(c.in); got != c.line {
			t.Errorf("Line(%q) = %q, want %q", c.in, got, c.line)
		}
	}
}

// FuzzText checks that nothing is left that moves a terminal, that escaping again changes
// nothing, that a Writer says the same in pieces, and that JSON remains what it was.
func FuzzText(f *testing.F) {
	for _, s := range []string{"", "a\x1b[2J", "世界\xe4\xb8", "\u009b\u202e\r\n", "\xf0\x9f\x91"} {
		f.Add(s, 1)
	}
	f.Fuzz(func(t *testing.T, s string, piece int) {
		text := Text(s)
		if i := first(text, false); i >= 0 || !utf8.ValidString(text) {
			t.Errorf("Text(%q) = %q", s, text)
		}
		if again := Text(text); again != text {
			t.Errorf("again: %q, then %q", text, again)
		}
		if line := Line(s); first(line, true) >= 0 || Line(line) != line || strings.ContainsAny(line, "\n\t") {
			t.Errorf("Line(%q) = %q", s, line)
		}
		var b bytes.Buffer
		w, size := NewWriter(&b), max(piece%7, 1)
		for at := 0; at < len(s); at += size {
			part := s[at:min(at+size, len(s))]
			if n, err := w.Write([]byte(part)); n != len(part) || err != nil {
				t.Fatalf("Write: got %d, %v", n, err)
			}
		}
		w.Flush()
		if b.String() != text {
			t.Errorf("in pieces of %d: %q, want %q", size, &b, text)
		}
		valid := strings.ToValidUTF8(s, "?")
		encoded, err := json.Marshal(valid)
		if err != nil {
			t.Fatal(err)
		}
		var back string
		if err := json.Unmarshal([]byte(Text(string(encoded))), &back); err != nil || back != valid {
			t.Errorf("JSON of %q: got %q, %v", valid, back, err)
		}
	})
}

type broken struct{ err error }

func (b broken) Write([]byte) (int, error) { return 0, b.err }

// TestWriterFails checks that errors come through.
func TestWriterFails(t *testing.T) {
	want := errors.New("full")
	w := NewWriter(broken{want})
	if _, err := w.Write([]byte("a")); !errors.Is(err, want) {
		t.Errorf("got %v, want %v", err, want)
	}
	if _, err := w.Write([]byte("\xe4")); err != nil {
		t.Errorf("half a character: got %v", err)
	}
	if err := w.Flush(); !errors.Is(err, want) {
		t.Errorf("got %v, want %v", err, want)
	}
}
