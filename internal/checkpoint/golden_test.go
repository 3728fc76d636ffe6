package checkpoint

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// TestGolden holds the format still: testdata/read.py has read this file with
// the loaders of torch and numpy.
func TestGolden(t *testing.T) {
	s := sample()
	s.Tensors = s.Tensors[:3]
	got := encoded(t, s)
	path := filepath.Join("testdata", "sample.safetensors")
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("got %d bytes that differ from %s (%d bytes)", len(got), path, len(want))
	}
}
