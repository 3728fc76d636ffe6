package source

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gespann/gespann/internal/data"
	"github.com/gespann/gespann/model/spec"
)

// write makes a file in a new folder, and returns its path.
func write(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// folder makes a folder with files.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// wantError compares an error's text, less the folder of its files.
func wantError(t *testing.T, err error, dir, want string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want %q", want)
	}
	if got := strings.ReplaceAll(err.Error(), dir+string(filepath.Separator), ""); got != want {
		t.Errorf("error\n  %q, want\n  %q", got, want)
	}
}

func load(t *testing.T, d spec.Data, opt Options) *data.Set {
	t.Helper()
	set, err := Load(context.Background(), d, opt)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func zipped(content string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	w.Write([]byte(content))
	w.Close()
	return b.String()
}

// idx makes an IDX file whose elements count up from 0, modulo mod.
func idx(mod int, dims ...uint32) string {
	b := []byte{0, 0, idxBytes, byte(len(dims))}
	count := 1
	for _, dim := range dims {
		b = binary.BigEndian.AppendUint32(b, dim)
		count *= int(dim)
	}
	for i := range count {
		b = append(b, byte(i%mod))
	}
	return string(b)
}

// row gathers one row of features.
func row(x *data.Table, i int) []float32 {
	out := make([]float32, x.RowSize())
	x.Gather(out, []uint32{uint32(i)})
	return out
}
