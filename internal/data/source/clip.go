package source

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// mostShown bounds the letters of a text from a file in a message.
const mostShown = 40

// clip returns a text from a file for a message: as it is, or, when it is long or
// not printable, as in files that are no text at all, shortened and in quotes.
func clip(text string) string {
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

// quote is clip, always in quotes.
func quote(text string) string {
	if short := clip(text); short != text {
		return short
	}
	return strconv.Quote(text)
}
