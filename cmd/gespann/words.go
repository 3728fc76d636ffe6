package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/gespann/gespann/internal/shell"
	"github.com/gespann/gespann/internal/train"
)

// count is "3/12", with the first number as wide as the second.
func count(i, n int) string {
	width := len(strconv.Itoa(n))
	return fmt.Sprintf("%*d/%d", width, i, n)
}

// valueWords is "loss 0.1234  accuracy 0.9612".
func valueWords(values []train.Value) string {
	words := make([]string, len(values))
	for i, v := range values {
		words[i] = v.Name + " " + decimal(v.Value)
	}
	return strings.Join(words, "  ")
}

// decimal is a number in about six characters.
func decimal(v float64) string {
	if a := math.Abs(v); a != 0 && (a < 0.001 || a >= 1e5) {
		return fmt.Sprintf("%.2e", v)
	}
	return fmt.Sprintf("%.4f", v)
}

func epochWords(e train.EpochEnd) string {
	text := fmt.Sprintf("%s  %s  %s", valueWords(e.Values), speed(e.RowsPerSecond), seconds(e.Seconds))
	if e.Best {
		text += "  best"
	}
	return text
}

// speed is a rate of rows in three digits.
func speed(rows float64) string {
	switch {
	case math.IsNaN(rows) || math.IsInf(rows, 0):
		return "- rows/s"
	case rows >= 9.995e5:
		return fmt.Sprintf("%.3gM rows/s", rows/1e6)
	case rows >= 999.5:
		return fmt.Sprintf("%.3gk rows/s", rows/1e3)
	}
	return fmt.Sprintf("%.3g rows/s", rows)
}

// seconds is a duration to look back on.
func seconds(s float64) string {
	switch {
	case s < 0.9995:
		return fmt.Sprintf("%.0f ms", 1000*s)
	case s >= 60:
		return minutes(time.Duration(s * float64(time.Second)))
	}
	return fmt.Sprintf("%.1f s", s)
}

// minutes is "0:42" or "1:02:03".
func minutes(d time.Duration) string {
	s := int(d.Round(time.Second).Seconds())
	if s >= 3600 {
		return fmt.Sprintf("%d:%02d:%02d", s/3600, s/60%60, s%60)
	}
	return fmt.Sprintf("%d:%02d", s/60, s%60)
}

// counted is "1 argument" or "2 arguments".
func counted(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}

// grouped is a count with commas: 1,199,882.
func grouped(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// shellWord quotes a word of a command line where a shell needs that.
func shellWord(word string) string { return shell.Word(word) }
