package web

import (
	"bytes"
	"fmt"
	"mime"
	"net/http"
	"strconv"
	"strings"
)

// The two formats of metrics: Prometheus's own, and OpenMetrics, which it asks for first.
const (
	plainMetrics = "text/plain; version=0.0.4; charset=utf-8"
	openMetrics  = "application/openmetrics-text; version=1.0.0; charset=utf-8"
)

// An exposition is metrics as text, one family after the other.
//
// Source: prometheus.io/docs/instrumenting/exposition_formats and the OpenMetrics
// specification, version 1.0.
type exposition struct {
	text   bytes.Buffer
	open   bool // OpenMetrics
	family string
	seen   map[string]bool // series of the family, which must differ
}

// newExposition returns an empty one, in the format that a request asks for.
func newExposition(r *http.Request) *exposition {
	return &exposition{open: wantsOpenMetrics(r.Header.Values("Accept")), seen: map[string]bool{}}
}

// wantsOpenMetrics reports whether OpenMetrics 1.0 is among what is accepted.
func wantsOpenMetrics(accepted []string) bool {
	for part := range strings.SplitSeq(strings.Join(accepted, ","), ",") {
		kind, with, err := mime.ParseMediaType(part)
		if err != nil || kind != "application/openmetrics-text" || with["version"] != "1.0.0" {
			continue
		}
		if q, err := strconv.ParseFloat(with["q"], 64); with["q"] == "" || err == nil && q > 0 {
			return true
		}
	}
	return false
}

// send answers.
func (e *exposition) send(w http.ResponseWriter) {
	kind := plainMetrics
	if e.open {
		kind = openMetrics
		e.text.WriteString("# EOF\n")
	}
	w.Header().Set("Content-Type", kind)
	w.Write(e.text.Bytes()) // an error is the reader's
}

// begin starts a family: a counter or a gauge. OpenMetrics has the family of a counter
// without the suffix of its series.
func (e *exposition) begin(name, kind, help string) {
	e.family = name
	clear(e.seen)
	if e.open && kind == "counter" {
		name = strings.TrimSuffix(name, "_total")
	}
	fmt.Fprintf(&e.text, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind)
}

// add adds a series; labels are names and values in turn.
func (e *exposition) add(v float64, labels ...string) {
	var b strings.Builder
	b.WriteString(e.family)
	for i := 0; i+1 < len(labels); i += 2 {
		b.WriteByte("{,"[min(i, 1)])
		fmt.Fprintf(&b, `%s="%s"`, labels[i], escape(labels[i+1]))
	}
	if len(labels) > 0 {
		b.WriteByte('}')
	}
	if e.seen[b.String()] {
		return
	}
	e.seen[b.String()] = true
	fmt.Fprintf(&e.text, "%s %s\n", b.String(), number(v))
}

// one adds a family of one series.
func (e *exposition) one(name, kind, help string, v float64) {
	e.begin(name, kind, help)
	e.add(v)
}

var escapes = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)

// escape makes any text the value of a label.
func escape(text string) string { return escapes.Replace(strings.ToValidUTF8(text, "?")) }

// number formats a value; strconv's NaN and +Inf are those of the formats.
func number(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }

func truth(v bool) float64 {
	if v {
		return 1
	}
	return 0
}
