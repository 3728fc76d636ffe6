package spec

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const tail = "model: [flatten]\nloss: huber\n"

// TestParseBytes reads texts that a transcript cannot hold.
func TestParseBytes(t *testing.T) {
	cases := map[string]struct{ text, want string }{
		"no bytes":               {"", "x.yaml:1:1: empty, want a mapping with at least data, model and loss"},
		"not UTF-8":              {"# é\ndata: \xff\n", "x.yaml:2:7: not UTF-8 text"},
		"a NUL":                  {"data: {source: \x00}\n", "x.yaml: not YAML: control characters are not allowed"},
		"UTF-16":                 {"\xff\xfed\x00", "x.yaml:1:1: not UTF-8 text"},
		"a byte order mark":      {"\ufeff" + base + tail, ""},
		"carriage returns":       {strings.ReplaceAll(base+tail, "\n", "\r\n"), ""},
		"JSON":                   {`{"data": {"source": "digits"}, "model": ["flatten"], "loss": "huber"}`, ""},
		"too large":              {base + tail + strings.Repeat("#", maxFile), fmt.Sprintf("x.yaml: larger than %d bytes, which no spec is", maxFile)},
		"deep":                   {"data: " + strings.Repeat("[", 200) + strings.Repeat("]", 200), "x.yaml:1:107: nested deeper than 100 levels"},
		"deeper than the parser": {strings.Repeat("[", 20000), "x.yaml: not YAML: exceeded max depth of 10000"},
		"deep repeat": {base + "loss: huber\nmodel: " + strings.Repeat("[repeat: {times: 2, layers: ", 10) + "[flatten]" +
			strings.Repeat("}]", 10), "x.yaml:3:260: model[0]" + strings.Repeat(".repeat.layers[0]", 8) +
			".repeat.layers: repeat nested deeper than 8 levels"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := Parse("x.yaml", []byte(c.text), Options{})
			got := ""
			if err != nil {
				got = err.Error()
			}
			if got != c.want {
				t.Errorf("Parse says\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

// TestParseHostile reads large texts that could make a careless decoder run
// for minutes. The bound is far above the milliseconds that they take, for slow
// machines with the race detector.
func TestParseHostile(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	lines := func(n int, format string) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, format, i)
		}
		return b.String()
	}
	bomb := "a: &a [x, x, x, x, x, x, x, x, x]\n"
	for c := 'b'; c < 'z'; c++ {
		p := c - 1
		bomb += fmt.Sprintf("%c: &%c [*%c, *%c, *%c, *%c, *%c, *%c, *%c, *%c]\n", c, c, p, p, p, p, p, p, p, p)
	}
	cases := map[string]string{
		"alias bomb":     bomb,
		"unknown keys":   base + tail + lines(8000, "key%d: x\n"),
		"one long key":   base + tail + strings.Repeat("k", maxFile/2) + ": x\n",
		"one key":        strings.Repeat("a: 1\n", 15000),
		"layers":         base + "loss: huber\nmodel:\n" + lines(10100, "- dense: %d\n"),
		"wrong inputs":   base + "loss: huber\nmodel:\n" + lines(3000, "- {add: {}, name: layer%d, inputs: [layre, laier]}\n"),
		"late inputs":    base + "loss: huber\nmodel:\n" + lines(3000, "- {dense: 1, name: l%d, inputs: [l2999]}\n"),
		"times of times": base + "loss: huber\nmodel: [repeat: {times: 100, layers: [repeat: {times: 90, layers: [flatten]}]}]\n",
		"metrics":        base + tail + "metrics: [" + strings.Repeat("accuracy, ", 10000) + "]\n",
		"long list":      base + "loss: huber\nmodel: [reshape: [" + strings.Repeat("1,", 20000) + "1]]\n",
	}
	for name, text := range cases {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			s, err := Parse("x.yaml", []byte(text), Options{})
			if err == nil {
				s.Unroll()
			} else if n := len(err.Error()); n > 100000 {
				t.Errorf("the message has %d bytes", n)
			}
			if d := time.Since(start); d > 20*time.Second {
				t.Errorf("took %v", d)
			}
			t.Log(time.Since(start))
		})
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	if _, err := Load(filepath.Join(dir, "missing.yaml"), Options{}); !os.IsNotExist(err) {
		t.Errorf("Load of a file that is not there: %v", err)
	}
	if _, err := Load(dir, Options{}); err == nil {
		t.Error("Load of a folder: no error")
	}
	path := filepath.Join(dir, "x.yaml")
	if err := os.WriteFile(path, []byte(base+tail), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := Load(path, Options{})
	if err != nil || s.File != path {
		t.Errorf("Load = %+v, %v", s, err)
	}
}
