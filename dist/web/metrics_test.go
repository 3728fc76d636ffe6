package web

import (
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestMetrics checks the text against the format and against what it was.
func TestMetrics(t *testing.T) {
	for _, c := range []struct {
		name string
		src  *fake
	}{
		{"metrics.txt", running(0.25)},
		{"metrics-empty.txt", newFake(emptyView())},
		{"metrics-hostile.txt", newFake(hostileView())},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := get(t, handler(c.src), "/metrics")
			if got, want := w.Header().Get("Content-Type"), "text/plain; version=0.0.4; charset=utf-8"; w.Code != http.StatusOK || got != want {
				t.Errorf("got %d, %s, want 200, %s", w.Code, got, want)
			}
			text := w.Body.String()
			for _, err := range checkExposition(text) {
				t.Error(err)
			}
			// What this process takes is another number each time.
			at := strings.Index(text, "# HELP go_info")
			golden(t, c.name, []byte(text[:at]))
			checkOpenMetrics(t, handler(c.src), text)
			promtool(t, text)
		})
	}
}

var (
	helpLine   = regexp.MustCompile(`^# HELP ([a-zA-Z_:][a-zA-Z0-9_:]*) (\S.*)$`)
	typeLine   = regexp.MustCompile(`^# TYPE ([a-zA-Z_:][a-zA-Z0-9_:]*) (counter|gauge)$`)
	sampleLine = regexp.MustCompile(`^([a-zA-Z_:][a-zA-Z0-9_:]*)(\{((?:[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*",?)+)\})? (\S+)$`)
	labelName  = regexp.MustCompile(`([a-zA-Z_][a-zA-Z0-9_]*)="(?:[^"\\\n]|\\["\\n])*"`)
)

// checkExposition reports what is not as the format of Prometheus wants it, more
// strictly than its own parser: every family has one HELP and one TYPE before its
// series, series differ, and names have the suffix of their kind.
func checkExposition(text string) (errs []error) {
	bad := func(n int, format string, args ...any) {
		errs = append(errs, fmt.Errorf("line %d: %s", n+1, fmt.Sprintf(format, args...)))
	}
	if !strings.HasSuffix(text, "\n") {
		bad(0, "the text does not end with a line feed")
	}
	kinds, series := map[string]string{}, map[string]bool{}
	helped, family := "", ""
	for n, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		if m := helpLine.FindStringSubmatch(line); m != nil {
			helped = m[1]
			continue
		}
		if m := typeLine.FindStringSubmatch(line); m != nil {
			if m[1] != helped || kinds[m[1]] != "" {
				bad(n, "TYPE of %s: want it once, after its HELP", m[1])
			}
			if (m[2] == "counter") != strings.HasSuffix(m[1], "_total") {
				bad(n, "%s is a %s", m[1], m[2])
			}
			family = m[1]
			kinds[family] = m[2]
			continue
		}
		m := sampleLine.FindStringSubmatch(line)
		if m == nil {
			bad(n, "got %q", line)
			continue
		}
		if m[1] != family {
			bad(n, "%s is in the family %q", m[1], family)
		}
		if id := m[1] + m[2]; series[id] {
			bad(n, "%s: is there twice", id)
		} else {
			series[id] = true
		}
		names := map[string]bool{}
		for _, l := range labelName.FindAllStringSubmatch(m[3], -1) {
			if names[l[1]] {
				bad(n, "label %s is there twice", l[1])
			}
			names[l[1]] = true
		}
		if v, err := strconv.ParseFloat(m[4], 64); err != nil || kinds[family] == "counter" && !(v >= 0) {
			bad(n, "value %q of a %s", m[4], kinds[family])
		}
	}
	return errs
}

// TestCheckExposition checks the checker.
func TestCheckExposition(t *testing.T) {
	const head = "# HELP a_total X.\n# TYPE a_total counter\n"
	for _, c := range []struct {
		text string
		ok   bool
	}{
		{head + "a_total 1\n", true},
		{head + `a_total{x="a\"b\\c\nd",y=""} 1.5e+09` + "\n", true},
		{head + "a_total{x=\"1\"} 1\na_total{x=\"2\"} 1\n", true},
		{head, true},
		{head + "a_total 1", false},
		{"a_total 1\n", false},
		{"# TYPE a_total counter\na_total 1\n", false},
		{head + head, false},
		{head + "b_total 1\n", false},
		{head + "a_total 1\na_total 2\n", false},
		{head + "a_total -1\n", false},
		{head + "a_total NaN\n", false},
		{head + "a_total x\n", false},
		{head + "a_total  1\n", false},
		{head + "\na_total 1\n", false},
		{head + `a_total{x="a"b"} 1` + "\n", false},
		{head + `a_total{x="\x"} 1` + "\n", false},
		{head + `a_total{x="1",x="2"} 1` + "\n", false},
		{head + `a_total{} 1` + "\n", false},
		{"# HELP a X.\n# TYPE a counter\na 1\n", false},
		{"# HELP a_total X.\n# TYPE a_total gauge\na_total 1\n", false},
	} {
		if errs := checkExposition(c.text); (len(errs) == 0) != c.ok {
			t.Errorf("%q: got %v, want ok %v", c.text, errs, c.ok)
		}
	}
}
