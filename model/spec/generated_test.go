package spec

import (
	"flag"
	"os"
	"path/filepath"
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
