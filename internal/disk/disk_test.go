package disk

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// TestMkdirAll makes folders as os.MkdirAll does.
func TestMkdirAll(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]error{
		filepath.Join(dir, "a", "b", "c"): nil, filepath.Join(dir, "a", "b") + "/": nil, dir: nil, ".": nil,
		"": fs.ErrNotExist, file: syscall.ENOTDIR, filepath.Join(file, "a"): syscall.ENOTDIR,
	} {
		err := MkdirAll(path, 0o777)
		if !errors.Is(err, want) {
			t.Errorf("MkdirAll(%q) = %v, want %v", path, err, want)
		}
		if info, statErr := os.Stat(path); err == nil && (statErr != nil || !info.IsDir()) {
			t.Errorf("MkdirAll(%q): it is not there: %v", path, statErr)
		}
	}
}
