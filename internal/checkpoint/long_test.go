package checkpoint

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A file that goes on behind its end is not read into memory to find that out.
func TestReadTooLong(t *testing.T) {
	path := filepath.Join(t.TempDir(), "long.safetensors")
	s := &State{Tensors: []Tensor{{Name: "w", Shape: []int{2}, Data: []float32{1, 2}}}}
	if err := Write(path, s); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, 1<<40); err != nil {
		t.Skip(err)
	}
	if _, err := Read(path); err == nil || !strings.Contains(err.Error(), "header says") {
		t.Errorf("got %v", err)
	}
}
