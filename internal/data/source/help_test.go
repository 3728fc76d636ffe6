package source

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"os"
	"path/filepath"
	"runtime/metrics"
	"strings"
	"testing"

	"github.com/gespann/gespann/internal/data"
	"github.com/gespann/gespann/model/spec"
)

// write makes a file in a new folder, and returns its path.
func write(t *testing.T, name, content string) string {
	t.Helper()
	return writeIn(t, t.TempDir(), name, content)
}

// writeIn is write to a folder.
func writeIn(t *testing.T, dir, name, content string) string {
	t.Helper()
	path := filepath.Join(dir, name)
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

// withinMemory runs f and checks that it allocates no more than perByte bytes for
// each byte of input, besides buffers.
func withinMemory(t *testing.T, input []byte, perByte uint64, f func()) {
	t.Helper()
	const buffers = 1 << 20
	if bytes.HasPrefix(input, []byte{0x1f, 0x8b}) {
		perByte *= maxDeflate
	}
	before := allocated()
	f()
	if got, most := allocated()-before, buffers+perByte*uint64(len(input)); got > most {
		t.Errorf("%d bytes of input took %d bytes of memory, want at most %d", len(input), got, most)
	}
}

// allocated returns the bytes allocated since the start of the process.
func allocated() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

// sizeOf makes half of the plain inputs look like files, whose size is known.
func sizeOf(in *input, b []byte) int64 {
	if in.packed || len(b)%2 == 0 {
		return -1
	}
	in.trust = int64(len(b))
	return int64(len(b))
}
