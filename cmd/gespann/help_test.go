package main

import (
	"flag"
	"os"
	"path/filepath"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// TestHelp compares the help texts with those in testdata.
func TestHelp(t *testing.T) {
	for _, name := range []string{"", "train", "evaluate", "predict", "inspect", "schema", "layers", "devices", "version",
		"coordinator", "worker", "health", "certs", "manifest", "submit", "jobs", "logs", "cancel", "fetch", "help", "completion"} {
		args := []string{"--help"}
		file := "gespann.txt"
		if name != "" {
			args = []string{name, "--help"}
			file = name + ".txt"
		}
		golden(t, filepath.Join("help", file), must(t, args...))
	}
}

// golden compares a text with a file in testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s: got\n%s\nwant\n%s", path, got, want)
	}
}
