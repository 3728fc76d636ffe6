package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/gespann/gespann/internal/plain"
	"github.com/gespann/gespann/internal/train"
)

// A liveLog keeps one line per epoch up to date on a terminal. It moves it, so that out is
// raw.
type liveLog struct {
	out   io.Writer
	width func() int
	color bool
	open  bool // a line is being rewritten
}

// Terminal control (ECMA-48): back to the line's start and erase it, and colours.
const (
	eraseLine = "\r\x1b[K"
	green     = "\x1b[32m"
	dim       = "\x1b[2m"
	bold      = "\x1b[1m"
	normal    = "\x1b[0m"
)

func (l *liveLog) event(e train.Event) {
	switch e := e.(type) {
	case train.Started:
		l.text(started(e))
	case train.Progress:
		l.rewrite(l.progress(e))
	case train.EpochEnd:
		l.line(l.fit(
			l.paint(bold, "epoch "+count(e.Epoch, e.Epochs))+"  ", epochWords(e)) + "\n")
	case train.Note:
		l.text(noted(e))
	case train.Bill:
		l.text(bill(e.Account))
	case *train.Result:
		l.text(finished(e))
	}
}

// line writes whole lines in the place of the one that is being rewritten.
func (l *liveLog) line(text string) {
	l.clear()
	fmt.Fprint(l.out, text)
}

// text is line for what has words from elsewhere.
func (l *liveLog) text(text string) { l.line(plain.Text(text)) }

func (l *liveLog) rewrite(text string) {
	l.open = true
	fmt.Fprint(l.out, eraseLine+text)
}

func (l *liveLog) clear() {
	if l.open {
		fmt.Fprint(l.out, eraseLine)
	}
	l.open = false
}

// progress is epoch, bar, step, values, speed and time left. The bar takes the
// room that is left; where there is none, the speed goes first, then the bar.
func (l *liveLog) progress(e train.Progress) string {
	head := "epoch " + count(e.Epoch, e.Epochs) + "  "
	words := progressWords(e)
	words[0] = count(e.Step, e.Steps)
	slow := len(words) - 2 // the place of the speed
	short := slices.Delete(slices.Clone(words), slow, slow+1)
	for _, tail := range []string{strings.Join(words, "  "), strings.Join(short, "  ")} {
		room := l.width() - 1 - utf8.RuneCountInString(head+"  "+tail)
		if room >= minBar {
			done, rest := bar(min(room, maxBar), e.Step, e.Steps)
			return l.paint(bold, head) + l.paint(green, done) + l.paint(dim, rest) + "  " + tail
		}
	}
	return l.fit(l.paint(bold, head), strings.Join(short, "  "))
}

const minBar, maxBar = 8, 30

// bar splits a bar of that many columns into what is done and the rest.
func bar(width, done, of int) (full, rest string) {
	n := width * done / max(of, 1)
	return strings.Repeat("━", n), strings.Repeat("─", width-n)
}

// fit drops the last words of text, which two spaces part, until the line has
// room for it after a head of any colour.
func (l *liveLog) fit(head, text string) string {
	plain := strings.NewReplacer(bold, "", normal, "").Replace(head)
	room := l.width() - 1 - utf8.RuneCountInString(plain)
	for text != "" && utf8.RuneCountInString(text) > room {
		text = text[:max(strings.LastIndex(text, "  "), 0)]
	}
	return head + text
}

func (l *liveLog) paint(color, text string) string {
	if !l.color {
		return text
	}
	return color + text + normal
}
