package spec

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the golden and generated files")

var configs = filepath.Join("..", "..", "configs")

// golden compares a text with a file, or with -update writes it.
func golden(t *testing.T, path string, got []byte) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Errorf("%s is not what the code makes; compare after go test ./model/spec -update; got\n%s", path, got)
	}
}

func TestReferenceIsFresh(t *testing.T) {
	golden(t, filepath.Join(configs, "README.md"), Reference())
}

func TestSchemaIsFresh(t *testing.T) {
	text, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	golden(t, filepath.Join(configs, "schema.json"), text)
}

// TestReferenceSnippets parses the examples in the reference. What a part of a
// spec leaves out is added.
func TestReferenceSnippets(t *testing.T) {
	parts := strings.Split(string(Reference()), "```yaml\n")[1:]
	if len(parts) < 5 {
		t.Fatalf("%d examples, want at least 5", len(parts))
	}
	for _, part := range parts {
		text, _, _ := strings.Cut(part, "```")
		for _, section := range []string{"data: {source: digits}", "model: [flatten]", "loss: huber"} {
			if key, _, _ := strings.Cut(section, " "); !strings.Contains("\n"+text, "\n"+key) {
				text += section + "\n"
			}
		}
		if _, err := Parse("README.md", []byte(text), Options{}); err != nil {
			t.Errorf("%v in\n%s", err, text)
		}
	}
}

// TestReferenceExamples checks that the reference lists the files in configs.
func TestReferenceExamples(t *testing.T) {
	paths, err := filepath.Glob(filepath.Join(configs, "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		if name := filepath.Base(path); !slices.ContainsFunc(examples(), func(w Word) bool { return w.Name == name }) {
			t.Errorf("%s is not in the reference", name)
		}
	}
	if got := len(examples()); got != len(paths) {
		t.Errorf("the reference lists %d files, want %d", got, len(paths))
	}
}
