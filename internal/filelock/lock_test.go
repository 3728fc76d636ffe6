//go:build unix

package filelock

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// TestWait locks one file through two descriptors, which exclude each other as
// two processes do.
func TestWait(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	open := func() *os.File {
		f, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return f
	}
	first, second := open(), open()
	if locked, err := Try(first); !locked || err != nil {
		t.Fatalf("free file: got %t, %v, want the lock", locked, err)
	}
	if locked, err := Try(second); locked || err != nil {
		t.Fatalf("locked file: got %t, %v, want false", locked, err)
	}
	ended, cancel := context.WithCancel(t.Context())
	if err := Wait(ended, second, cancel); !errors.Is(err, context.Canceled) {
		t.Errorf("wait ended by its context: got %v, want %v", err, context.Canceled)
	}
	calls := 0
	if err := Wait(t.Context(), second, func() { calls++; first.Close() }); err != nil || calls != 1 {
		t.Errorf("wait: got %v after %d calls of busy, want the lock after 1", err, calls)
	}
}
