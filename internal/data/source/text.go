package source

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"unicode/utf16"
	"unicode/utf8"
)

// Encodings of text. A byte order mark is followed, whatever the setting says.
const (
	encUTF8    = "utf-8"
	encLatin1  = "latin-1"
	encWindows = "windows-1252"
	encUTF16   = "utf-16"
)

// windows1252 are the characters of the bytes 0x80 to 0x9f; the others are those
// of Latin-1. U+FFFD marks what has none.
//
// Source: the mapping of code page 1252 at unicode.org.
var windows1252 = []rune("€\ufffd‚ƒ„…†‡ˆ‰Š‹Œ\ufffdŽ\ufffd\ufffd‘’“”•–—˜™š›œ\ufffdžŸ")

// A textError says in which line text is not what it should be.
type textError struct {
	line int // from 1
	msg  string
}

func (e *textError) Error() string { return fmt.Sprintf("line %d: %s", e.line, e.msg) }

// text returns the rest of the input as UTF-8, without a byte order mark. Files
// of another kind than want are an error, and so is, while it is read, text that is
// not in the encoding; "" is UTF-8. With settable, a hint may name the setting.
func text(in *bufio.Reader, encoding, want string, settable bool) (*bufio.Reader, error) {
	start, _ := in.Peek(formatBytes)
	bom := func(n int, r io.Reader) (*bufio.Reader, error) {
		_, err := in.Discard(n)
		return bufio.NewReaderSize(&sticky{r: r}, chunk), err
	}
	switch {
	case bytes.HasPrefix(start, []byte("\xef\xbb\xbf")):
		return bom(3, &utf8Reader{r: in, line: 1, settable: settable})
	case bytes.HasPrefix(start, []byte("\xff\xfe\x00\x00")), bytes.HasPrefix(start, []byte("\x00\x00\xfe\xff")):
		return nil, errors.New("is text in UTF-32, want UTF-8\nhint: save it as UTF-8")
	case bytes.HasPrefix(start, []byte("\xff\xfe")):
		return bom(2, &wideReader{r: in, order: binary.LittleEndian, line: 1})
	case bytes.HasPrefix(start, []byte("\xfe\xff")):
		return bom(2, &wideReader{r: in, order: binary.BigEndian, line: 1})
	}
	if err := foreign(start, want); err != nil {
		return nil, err
	}
	if looksWide(start) {
		return nil, errors.New("looks like text in UTF-16 without a byte order mark" +
			"\nhint: save it as UTF-8")
	}
	switch encoding {
	case "", encUTF8:
		return bom(0, &utf8Reader{r: in, line: 1, settable: settable})
	case encUTF16:
		return nil, errors.New("no byte order mark, with which text in UTF-16 begins" +
			"\nhint: save it as UTF-8, and leave out data.csv.encoding")
	case encLatin1, encWindows:
		start, _ = in.Peek(chunk)
		if isUTF8(start) {
			where := "data.csv.encoding is"
			if !settable {
				where = "the training data was in"
			}
			return nil, fmt.Errorf("is text in UTF-8, but %s %s", where, encoding)
		}
		return bom(0, &narrowReader{r: in, windows: encoding == encWindows, line: 1})
	}
	return nil, fmt.Errorf("data.csv.encoding: got %q, want utf-8, latin-1, windows-1252 or utf-16", encoding)
}

// A sticky reader says again what went wrong: a bufio.Reader forgets errors that it
// met when it looked ahead.
type sticky struct {
	r   io.Reader
	err error
}

func (s *sticky) Read(p []byte) (n int, err error) {
	if s.err == nil {
		n, s.err = s.r.Read(p)
	}
	return n, s.err
}

// looksWide reports whether nearly every other byte is 0.
func looksWide(start []byte) bool {
	var zeros [2]int
	for i, b := range start {
		if b == 0 {
			zeros[i%2]++
		}
	}
	return len(start) >= 8 && (zeros[0] == 0 || zeros[1] == 0) && 3*(zeros[0]+zeros[1]) > len(start)
}

// isUTF8 reports whether the beginning of a text has letters beyond ASCII, all of
// them in UTF-8. What may be cut off at the end does not count.
func isUTF8(start []byte) bool {
	for cut := 0; cut < utf8.UTFMax && len(start) > 0 && !utf8.Valid(start); cut++ {
		start = start[:len(start)-1]
	}
	return utf8.Valid(start) && bytes.ContainsFunc(start, func(r rune) bool { return r >= utf8.RuneSelf })
}

// A utf8Reader passes on what is UTF-8.
type utf8Reader struct {
	r    io.Reader
	line int
	rest []byte // the beginning of a letter
	err  error
	// settable: see text.
	settable bool
}

func (u *utf8Reader) Read(p []byte) (int, error) {
	for {
		if u.err != nil && len(u.rest) == 0 {
			return 0, u.err
		}
		n := copy(p, u.rest)
		u.rest = u.rest[:0]
		if u.err == nil && n < len(p) {
			var more int
			more, u.err = u.r.Read(p[n:])
			n += more
		}
		good := validPrefix(p[:n])
		switch tail := p[good:n]; {
		case len(tail) > 0 && (utf8.FullRune(tail) || u.err != nil):
			u.err = u.invalid(p[:n], good)
		case len(tail) > 0:
			u.rest = append(u.rest, tail...)
		}
		u.line += bytes.Count(p[:good], []byte("\n"))
		if good > 0 || len(p) < utf8.UTFMax {
			return good, nil
		}
	}
}

// validPrefix returns how many bytes from the start on are UTF-8.
func validPrefix(p []byte) int {
	if utf8.Valid(p) {
		return len(p)
	}
	good := 0
	for good < len(p) {
		r, size := utf8.DecodeRune(p[good:])
		if r == utf8.RuneError && size == 1 {
			break
		}
		good += size
	}
	return good
}

// invalid says which byte is not UTF-8, and what the word around it would be.
func (u *utf8Reader) invalid(p []byte, at int) error {
	const most = 20
	first, last := at, at+1
	inWord := func(b byte) bool { return bytes.IndexByte([]byte("\r\n,;\t|\""), b) < 0 }
	for first > 0 && at-first < most && inWord(p[first-1]) {
		first--
	}
	for last < len(p) && last-at < most && inWord(p[last]) {
		last++
	}
	msg := fmt.Sprintf("byte %s is not UTF-8", clip(fmt.Sprintf("0x%02x", p[at])))
	word, ok := windowsText(p[first:last])
	hint := "\nhint: save the text as UTF-8"
	if ok {
		msg += "; in Windows-1252 it would be in " + quote(word)
	}
	if ok && u.settable {
		hint += ", or set data.csv.encoding: windows-1252"
	}
	return &textError{u.line + bytes.Count(p[:at], []byte("\n")), msg + hint}
}

// windowsText decodes Windows-1252; false for bytes that it does not have.
func windowsText(p []byte) (string, bool) {
	out := make([]rune, len(p))
	for i, b := range p {
		if out[i] = windowsRune(b); out[i] == utf8.RuneError {
			return "", false
		}
	}
	return string(out), true
}

func windowsRune(b byte) rune {
	if b >= 0x80 && b <= 0x9f {
		return windows1252[b-0x80]
	}
	return rune(b)
}

// A narrowReader reads text with one byte per letter.
type narrowReader struct {
	r       *bufio.Reader
	windows bool
	line    int
}

func (n *narrowReader) Read(p []byte) (int, error) {
	done := 0
	for done+2 < len(p) { // a letter takes up to 3 bytes
		b, err := n.r.ReadByte()
		if err != nil {
			return done, atEnd(done, err)
		}
		r := rune(b)
		if n.windows {
			r = windowsRune(b)
		}
		if r == utf8.RuneError {
			return done, &textError{n.line, fmt.Sprintf("byte %s is not Windows-1252", clip(fmt.Sprintf("0x%02x", b)))}
		}
		if b == '\n' {
			n.line++
		}
		done += utf8.EncodeRune(p[done:], r)
	}
	return done, nil
}

// atEnd is the error of a reader that has read something, or not.
func atEnd(done int, err error) error {
	if done > 0 && errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// A wideReader reads UTF-16.
type wideReader struct {
	r     *bufio.Reader
	order binary.ByteOrder
	line  int
}

func (w *wideReader) Read(p []byte) (int, error) {
	done := 0
	for done+utf8.UTFMax <= len(p) {
		r, err := w.rune()
		if err != nil {
			return done, atEnd(done, err)
		}
		if r == '\n' {
			w.line++
		}
		done += utf8.EncodeRune(p[done:], r)
	}
	return done, nil
}

// rune reads one letter: a unit, or a pair of surrogates.
func (w *wideReader) rune() (rune, error) {
	first, err := w.unit()
	if err != nil || !utf16.IsSurrogate(first) {
		return first, err
	}
	second, err := w.unit()
	if err != nil && !errors.Is(err, io.EOF) {
		return 0, err
	}
	r := utf16.DecodeRune(first, second)
	if err != nil || r == utf8.RuneError {
		return 0, &textError{w.line, "half a letter, want pairs of surrogates as UTF-16 has them"}
	}
	return r, nil
}

func (w *wideReader) unit() (rune, error) {
	var b [2]byte
	if n, err := io.ReadFull(w.r, b[:]); n == 1 && errors.Is(err, io.ErrUnexpectedEOF) {
		return 0, &textError{w.line, "ends with half a letter, want UTF-16"}
	} else if err != nil {
		return 0, err
	}
	return rune(w.order.Uint16(b[:])), nil
}
