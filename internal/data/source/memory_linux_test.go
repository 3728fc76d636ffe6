package source

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/gespann/gespann/internal/infile"

	"github.com/gespann/gespann/internal/memlimit"
)

// TestLargeFile reads a file of zeros that is larger than any memory, and takes hardly
// any room on the disk.
func TestLargeFile(t *testing.T) {
	const rows = 1 << 40
	path := filepath.Join(t.TempDir(), "x.npy")
	header := []byte(npy("<f8", "(1099511627776,)", []float64{}))
	if err := os.WriteFile(path, header, 0o666); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, int64(len(header))+8*rows); err != nil {
		t.Skipf("no file of 8 TiB here: %v", err)
	}
	_, err := openArray(t.Context(), infile.Files{}, path)
	var short *memlimit.ShortError
	if !errors.As(err, &short) || short.Need != 8*rows {
		t.Errorf("got %v, want that it takes 8 TiB", err)
	}
}
