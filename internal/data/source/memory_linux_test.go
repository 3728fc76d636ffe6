package source

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/gespann/gespann/internal/infile"

	"github.com/gespann/gespann/internal/memlimit"
	"github.com/gespann/gespann/model/spec"
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

// TestRowsBeforeBodies has arrays whose rows do not belong together: that is said before
// the first of them is read, for every way to pack it.
func TestRowsBeforeBodies(t *testing.T) {
	const size = 64 << 20
	big, small := npy("|u1", "(1024, 65536)", make([]byte, size)), npy("<i8", "(3,)", []int64{0, 1, 0})
	packed := func(text string) string {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		w.Write([]byte(text))
		w.Close()
		return b.String()
	}
	images := "\x00\x00\x08\x03\x00\x00\x04\x00\x00\x00\x01\x00\x00\x00\x01\x00" + string(make([]byte, size))
	dir := folder(t, map[string]string{
		"x.npy": big, "x.npy.gz": packed(big), "y.npy": small, "y.npy.gz": packed(small),
	})
	if err := errors.Join(
		os.Mkdir(filepath.Join(dir, "idx"), 0o777),
		os.WriteFile(filepath.Join(dir, "idx/train-images-idx3-ubyte.gz"), []byte(packed(images)), 0o666),
		os.WriteFile(filepath.Join(dir, "idx/train-labels-idx1-ubyte.gz"), []byte(packed("\x00\x00\x08\x01\x00\x00\x00\x03\x00\x01\x00")), 0o666),
	); err != nil {
		t.Fatal(err)
	}
	npz := filepath.Join(dir, "both.npz")
	f, err := os.Create(npz)
	if err != nil {
		t.Fatal(err)
	}
	archive := zip.NewWriter(f)
	for name, text := range map[string]string{"x.npy": big, "y.npy": small} {
		w, err := archive.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		w.Write([]byte(text))
	}
	if err := errors.Join(archive.Close(), f.Close()); err != nil {
		t.Fatal(err)
	}
	for name, d := range map[string]spec.Data{
		"npy": {Source: "npy", NPY: spec.NPY{X: dir + "/x.npy", Y: dir + "/y.npy"}},
		"gz":  {Source: "npy", NPY: spec.NPY{X: dir + "/x.npy.gz", Y: dir + "/y.npy.gz"}},
		"npz": {Source: "npy", NPY: spec.NPY{X: npz + ":x", Y: npz + ":y"}},
		"idx": {Source: "idx", Dir: dir + "/idx"},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := Load(t.Context(), d, Options{})
		runtime.ReadMemStats(&after)
		if err == nil || !strings.Contains(err.Error(), " has 1024") || !strings.Contains(err.Error(), ": 3 ") {
			t.Errorf("%s: got %v, want that 3 and 1024 rows do not belong together", name, err)
		}
		if took := after.TotalAlloc - before.TotalAlloc; took > size/8 {
			t.Errorf("%s: took %d bytes to say so", name, took)
		}
	}
}

// TestClaims checks that a gzip file which says that it has more than memory is believed
// before it is read.
func TestClaims(t *testing.T) {
	in := &input{size: -1, packed: true, claim: 8 << 10, most: 1 << 60}
	var short *memlimit.ShortError
	if err := in.affords(8<<10, 1<<47, 8); !errors.As(err, &short) {
		t.Errorf("got %v, want that memory is short", err)
	}
	for _, other := range []*input{
		{size: -1, packed: true, claim: 1, most: 1 << 60}, {size: -1, packed: true, claim: 8 << 10, most: 1 << 40}, {size: -1},
	} {
		if err := other.affords(8<<10, 1<<47, 8); err != nil {
			t.Errorf("%+v: got %v, want that it is read until it ends", other, err)
		}
	}
}
