package spec

import (
	"os"
	"path/filepath"
	"testing"
)

// TestLocateAbsolute checks that a folder for runs which a file gives as an absolute path
// stays that one, also where it is below the current folder and the file is in another.
func TestLocateAbsolute(t *testing.T) {
	here := t.TempDir()
	t.Chdir(here)
	if err := os.Mkdir("configs", 0o700); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join("configs", "x.yaml")
	text := "data: {source: digits}\nmodel: [flatten, {dense: {units: 10, activation: softmax}}]\n" +
		"loss: sparse_categorical_crossentropy\ntrain: {dir: " + filepath.Join(here, "runs") + "}\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := Load(file, Options{})
	if err == nil {
		err = s.Locate()
	}
	if err != nil {
		t.Fatal(err)
	}
	if s.Train.Dir != "runs" {
		t.Errorf("got train.dir %s, want runs, as it is from here", s.Train.Dir)
	}
}
