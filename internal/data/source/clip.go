package source

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/gespann/gespann/internal/data"
)

// mostShown bounds the letters of a text from a file in a message.
const mostShown = 40

// What stands in a file is marked where a message has it:
//
//	markBegin, what is said in its place, markOr, the text, markEnd
//
// told makes one of the two of it. The marks are of Unicode's private use area; a text
// that has them itself is shown without.
const (
	markBegin = "\ue000"
	markOr    = "\ue001"
	markEnd   = "\ue002"
)

// noMarks drops marks from what stands in a file.
var noMarks = strings.NewReplacer(markBegin, "", markOr, "", markEnd, "")

// mark marks a text from a file, in place of which something else may be said.
func mark(instead, text string) string {
	return markBegin + instead + markOr + noMarks.Replace(text) + markEnd
}

// told returns a message with what it says of files, or, private, without.
func told(message string, private bool) string {
	var out strings.Builder
	for {
		before, marked, ok := strings.Cut(message, markBegin)
		out.WriteString(before)
		if !ok {
			return out.String()
		}
		marked, message, _ = strings.Cut(marked, markEnd)
		instead, text, _ := strings.Cut(marked, markOr)
		if private {
			text = instead
		}
		out.WriteString(text)
	}
}

// A toldError is an error whose message has no marks any more.
type toldError struct {
	text string
	err  error
}

func (e *toldError) Error() string { return e.text }

// Unwrap returns the error with marks.
func (e *toldError) Unwrap() error { return e.err }

// tell makes an error one for people: of private files without what stands in them.
func tell(err error, private bool) error {
	if err == nil {
		return nil
	}
	was := err.Error()
	text := was
	var value *data.ValueError
	if private && errors.As(err, &value) {
		text = strings.Replace(text, value.Error(), value.Place(), 1)
	}
	if text = told(text, private); text == was {
		return err
	}
	return &toldError{text, err}
}

// clip returns a text from a file for a message: as it is, or, when it is long or
// not printable, as in files that are no text at all, shortened and in quotes.
func clip(text string) string { return mark(lettersOf(text), short(text)) }

// quote is clip, always in quotes.
func quote(text string) string { return mark(lettersOf(text), inQuotes(text)) }

// columnName is quote for the name of a column, which may be a cell of the first line.
func columnName(field int, name string) string {
	if name == strconv.Itoa(field) { // of a file without a header
		return inQuotes(name)
	}
	return mark(fmt.Sprintf("number %d", field+1), inQuotes(name))
}

// lettersOf is what is said in place of a text.
func lettersOf(text string) string {
	if n := utf8.RuneCountInString(text); n != 1 {
		return fmt.Sprintf("(%d letters)", n)
	}
	return "(1 letter)"
}

func short(text string) string {
	long := utf8.RuneCountInString(text) > mostShown
	unprintable := func(r rune) bool { return !unicode.IsPrint(r) }
	switch {
	case long:
		return fmt.Sprintf("%.*q...", mostShown, text)
	case !utf8.ValidString(text) || strings.ContainsFunc(text, unprintable):
		return strconv.Quote(text)
	}
	return text
}

func inQuotes(text string) string {
	if short := short(text); short != text {
		return short
	}
	return strconv.Quote(text)
}
