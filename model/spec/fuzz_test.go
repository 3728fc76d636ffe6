package spec

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// FuzzParse checks that Parse never panics or runs away, that every error has a
// sentence and a file, and that what it accepts survives Marshal.
func FuzzParse(f *testing.F) {
	paths, err := filepath.Glob(filepath.Join(configs, "*.yaml"))
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	text, err := os.ReadFile(filepath.Join("testdata", "errors.txt"))
	if err != nil {
		f.Fatal(err)
	}
	for _, part := range strings.Split(string(text), "=== ")[1:] {
		_, rest, _ := strings.Cut(part, "\n")
		in, _, _ := strings.Cut(rest, "\n--- ")
		f.Add([]byte(in))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		start := time.Now()
		s, err := Parse("fuzz.yaml", text, Options{})
		if d := time.Since(start); d > 5*time.Second {
			t.Errorf("took %v", d)
		}
		if err == nil {
			roundTrip(t, s)
			s.Unroll()
			return
		}
		var list Errors
		if !errors.As(err, &list) || len(list) == 0 {
			t.Fatalf("Parse error is a %T of %d, want Errors", err, len(list))
		}
		for _, e := range list {
			if e.File != "fuzz.yaml" || e.Msg == "" {
				t.Errorf("error without file or message: %+v", e)
			}
		}
	})
}

// FuzzOverride checks that no value of a flag makes Parse panic or accept what
// Marshal cannot write.
func FuzzOverride(f *testing.F) {
	for i, s := range settings() {
		f.Add(s.key, []string{s.def, "1", "-1", "true", "a,b", "", "1e999", "\x00"}[i%8])
	}
	f.Add("model", "x")
	f.Add("nothing", "x")
	f.Fuzz(func(t *testing.T, key, value string) {
		s, err := Parse("fuzz.yaml", []byte(base+tail), Options{Set: []Override{{key, value}}})
		if err == nil {
			roundTrip(t, s)
		} else if err.Error() == "" {
			t.Error("an error without a sentence")
		}
	})
}
