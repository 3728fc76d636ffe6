package web

import (
	"fmt"
	"html/template"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/gespann/gespann/dist/wire"
)

// none is what stands where there is no number.
const none = "–"

// functions are those of the templates.
var functions = template.FuncMap{
	"count": func(n any) string { return count(reflect.ValueOf(n).Int()) }, "speed": speed, "bytes": bytesOf, "span": span, "percent": percent,
	"value": value, "stamp": stamp, "moment": moment, "state": stateWord, "short": short, "about": about, "line": line,
	"times": func(v float64) float64 { return v * 100 },
	"add":   func(a, b float64) float64 { return a + b },
	"iso":   func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
	"ended": wire.Ended,
}

// count formats a number with commas: 12,345.
func count(n int64) string {
	text := strconv.FormatInt(n, 10)
	sign := ""
	if n < 0 {
		sign, text = "-", text[1:]
	}
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return sign + text
}

// speed formats rows per second with three digits: 12.3k.
func speed(v float64) string {
	if !(v > 0) || math.IsInf(v, 0) {
		return none
	}
	return scaled(v, 1000, []string{"", "k", "M", "G", "T"})
}

// bytesOf formats a number of bytes: 1.2 GB.
func bytesOf(n int64) string {
	if n <= 0 {
		return "0 B"
	}
	return scaled(float64(n), 1000, []string{" B", " kB", " MB", " GB", " TB", " PB", " EB"})
}

func scaled(v, base float64, units []string) string {
	for v >= 999.5 && len(units) > 1 {
		v, units = v/base, units[1:]
	}
	digits := 0
	if strings.TrimSpace(units[0]) != "B" && units[0] != "" {
		digits = max(0, 2-int(math.Floor(math.Log10(math.Max(v, 1)))))
	} else if v < 10 && units[0] == "" {
		digits = 1
	}
	return strconv.FormatFloat(v, 'f', digits, 64) + units[0]
}

// span formats seconds: 80 ms, 4.2 s, 3 min 20 s, 1 h 04 min, 2 d 3 h.
func span(seconds float64) string {
	if math.IsNaN(seconds) || seconds < 0 || seconds > 1e9 {
		return none
	}
	whole := int64(math.Round(seconds))
	switch {
	case seconds < 0.0005:
		return "0 s"
	case seconds < 0.9995:
		return fmt.Sprintf("%.0f ms", seconds*1000)
	case seconds < 9.95:
		return fmt.Sprintf("%.1f s", seconds)
	case whole < 60:
		return fmt.Sprintf("%d s", whole)
	case whole < 3600:
		return fmt.Sprintf("%d min %02d s", whole/60, whole%60)
	case whole < 86400:
		return fmt.Sprintf("%d h %02d min", whole/3600, whole%3600/60)
	}
	return fmt.Sprintf("%d d %d h", whole/86400, whole%86400/3600)
}

// percent formats a share.
func percent(v float64) string {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return none
	}
	return fmt.Sprintf("%.0f %%", v*100)
}

// value formats a loss or a metric.
func value(v wire.Value) string {
	f := float64(v)
	switch size := math.Abs(f); {
	case math.IsNaN(f) || math.IsInf(f, 0):
		return "not finite"
	case size != 0 && (size < 0.001 || size >= 1e5):
		return fmt.Sprintf("%.3g", f)
	case size >= 100:
		return fmt.Sprintf("%.1f", f)
	}
	return fmt.Sprintf("%.4f", f)
}

// stamp formats a moment; "" for none.
func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2 Jan 15:04 UTC")
}

// moment formats a moment to the second.
func moment(t time.Time) string { return t.UTC().Format("2 Jan 15:04:05 UTC") }

// about formats seconds that nobody knows to the second.
func about(seconds float64) string {
	switch {
	case seconds < 10:
		return "some seconds"
	case seconds < 60:
		return "about " + span(10*math.Round(seconds/10))
	case seconds < 3570:
		return fmt.Sprintf("about %.0f min", math.Round(seconds/60))
	}
	return "about " + span(60*math.Round(seconds/60))
}

// clean drops what is not to be seen from a text from elsewhere: controls, and
// marks that turn the direction of writing.
func clean(text string) string {
	return strings.Map(func(r rune) rune {
		if r != '\n' && r != '\t' && unicode.In(r, unicode.Cc, unicode.Cf) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
}

// line returns the first line of a text.
func line(text string) string {
	text, _, _ = strings.Cut(text, "\n")
	return text
}

// short cuts a text from elsewhere to what a page can show.
func short(most int, text string) string {
	text = clean(text)
	if r := []rune(text); len(r) > most {
		return string(r[:most]) + "…"
	}
	return text
}

// states are the words that have a colour; others look like none of them.
var states = []string{
	"idle", "opening", "compute", "wait", "silent",
	wire.JobQueued, wire.JobStarting, wire.JobWaiting, wire.JobRunning, wire.JobPaused,
	wire.JobDone, wire.JobFailed, wire.JobCancelled, wire.JobLost,
}

// stateWord returns a state as a name for its style.
func stateWord(state string) string {
	for _, known := range states {
		if state == known {
			return "state " + known
		}
	}
	return "state"
}
