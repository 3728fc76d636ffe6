package spec

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

// TestTranscripts parses the specs in testdata/*.txt. A case is a title, a
// command line if flags or variables are given, the spec, and what Parse says:
//
//	=== title
//	$ GESPANN_TRAIN_EPOCHS=2 gespann --seed 3
//	data: ...
//	--- line
//	x.yaml:1:7: ...
//
// What Parse says is "ok" without errors. If the line with dashes names
// settings, as in `--- train.epochs`, their values follow.
func TestTranscripts(t *testing.T) {
	paths, err := filepath.Glob(filepath.Join("testdata", "*.txt"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var got strings.Builder
		for i, part := range strings.Split(string(text), "=== ") {
			if i == 0 {
				got.WriteString(part)
				continue
			}
			title, rest, _ := strings.Cut(part, "\n")
			t.Run(title, func(t *testing.T) { fmt.Fprintf(&got, "=== %s\n%s", title, replay(t, rest)) })
		}
		golden(t, path, []byte(strings.TrimRight(got.String(), "\n")+"\n"))
	}
}

// replay runs a case and returns it with what Parse says now.
func replay(t *testing.T, text string) string {
	in, out, ok := strings.Cut(text, "\n--- ")
	if !ok {
		t.Fatalf("no line with dashes in\n%s", text)
	}
	shown, _, _ := strings.Cut(out, "\n")
	o, yaml := Options{}, in
	if strings.HasPrefix(in, "$ ") {
		var command string
		command, yaml, _ = strings.Cut(in, "\n")
		o = options(t, strings.Fields(command)[1:])
	}
	s, err := Parse("x.yaml", []byte(yaml), o)
	said := "ok"
	if err != nil {
		said = err.Error()
	} else {
		for _, key := range strings.Fields(shown) {
			if key != "-" {
				said += fmt.Sprintf("\n%s = %s", key, setTo(t, s, key))
			}
		}
	}
	return fmt.Sprintf("%s\n--- %s\n%s\n\n", in, shown, said)
}

// options returns what a command line of variables and flags means.
func options(t *testing.T, words []string) Options {
	t.Helper()
	fs := pflag.NewFlagSet("gespann", pflag.ContinueOnError)
	AddFlags(fs)
	var args []string
	for _, w := range words {
		name, value, ok := strings.Cut(w, "=")
		switch {
		case ok && strings.HasPrefix(name, envPrefix):
			t.Setenv(name, value)
		case w != "gespann":
			args = append(args, w)
		}
	}
	if err := fs.Parse(args); err != nil {
		t.Fatal(err)
	}
	return Options{Flags: fs, Env: true}
}

// setTo returns the value of a setting as Marshal writes it.
func setTo(t *testing.T, s *Spec, key string) string {
	t.Helper()
	text, err := s.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	root, errs := readYAML("marshalled", text)
	if errs != nil {
		t.Fatal(errs)
	}
	n := find(root, strings.Split(key, "."))
	switch {
	case n == nil:
		return "not set"
	case n.Value != "":
		return n.Value
	case len(n.Content) == 2 && n.Tag == "!!map":
		return n.Content[0].Value // a kind
	default:
		var list []string
		for _, c := range n.Content {
			list = append(list, c.Value)
		}
		return strings.Join(list, ", ")
	}
}
