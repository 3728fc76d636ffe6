package source

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/gespann/gespann/model/spec"
)

// BenchmarkLoad reads about 100 MB.
func BenchmarkLoad(b *testing.B) {
	dir := b.TempDir()
	const columns = 20
	random := rand.New(rand.NewPCG(1, 2))
	file := func(name string, write func(w *bufio.Writer)) string {
		path := filepath.Join(dir, name)
		f, err := os.Create(path)
		if err != nil {
			b.Fatal(err)
		}
		w := bufio.NewWriterSize(f, 1<<20)
		write(w)
		if err := w.Flush(); err != nil {
			b.Fatal(err)
		}
		if err := f.Close(); err != nil {
			b.Fatal(err)
		}
		return path
	}
	csv := file("t.csv", func(w *bufio.Writer) {
		for j := range columns {
			fmt.Fprintf(w, "c%d,", j)
		}
		w.WriteString("y\n")
		for i := range 600000 {
			for range columns {
				fmt.Fprintf(w, "%.6f,", random.Float64())
			}
			fmt.Fprintf(w, "%d\n", i%3)
		}
	})
	header := func(w *bufio.Writer, descr, shape string) {
		text := "{'descr': '" + descr + "', 'fortran_order': False, 'shape': " + shape + "}\n"
		fmt.Fprintf(w, "\x93NUMPY\x01\x00%c%c%s", len(text)%256, len(text)/256, text)
	}
	const rows = 1250000
	x := file("x.npy", func(w *bufio.Writer) {
		header(w, "<f4", fmt.Sprintf("(%d, %d)", rows, columns))
		for range rows * columns {
			w.WriteString("\x00\x01\x80\x3f")
		}
	})
	y := file("y.npy", func(w *bufio.Writer) {
		header(w, "|u1", fmt.Sprintf("(%d,)", rows))
		for i := range rows {
			w.WriteByte(byte(i % 3))
		}
	})
	for _, c := range []struct {
		name string
		data spec.Data
		size int64
	}{
		{"csv", spec.Data{Source: "csv", CSV: spec.CSV{Path: csv, Header: true}}, sizeOn(b, csv)},
		{"npy", spec.Data{Source: "npy", NPY: spec.NPY{X: x, Y: y}}, sizeOn(b, x) + sizeOn(b, y)},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.SetBytes(c.size)
			for b.Loop() {
				if _, err := Load(b.Context(), c.data, Options{Loss: "sparse_categorical_crossentropy"}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func sizeOn(b *testing.B, path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		b.Fatal(err)
	}
	return info.Size()
}
