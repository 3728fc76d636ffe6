package checkpoint

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// TestNoSpace fills a small file system and checks that a checkpoint that does
// not fit leaves the old one alone.
func TestNoSpace(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=256k"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("mounting a tmpfs: %v", err)
		}
		t.Skipf("TestNoSpace: mounting a tmpfs needs root: %v", err)
	}
	t.Cleanup(func() { syscall.Unmount(dir, syscall.MNT_DETACH) })
	path := filepath.Join(dir, "a.safetensors")
	small := &State{Tensors: []Tensor{{"w", []int{100}, make([]float32, 100)}}}
	if err := Write(path, small); err != nil {
		t.Fatal(err)
	}
	large := &State{Tensors: []Tensor{{"w", []int{1 << 17}, make([]float32, 1<<17)}}}
	err := Write(path, large)
	if want := "checkpoint " + path + ": it needs 524456 bytes: no space left on device"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("got %v, want it to be ENOSPC", err)
	}
	if s, err := Read(path); err != nil || len(s.Tensors[0].Data) != 100 {
		t.Errorf("the old file: got %v, %v", s, err)
	}
	onlyFile(t, dir, "a.safetensors")
}
