package source

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"

	"github.com/gespann/gespann/internal/data"
	"github.com/gespann/gespann/internal/infile"
)

// ReadFeatures reads rows to predict from r in the form of prep: CSV with or
// without the label, NPY, IDX or JSON lines, whichever the first bytes say,
// compressed or not. A line of JSON is an array of numbers, nested or not, or,
// for a model trained on CSV, an object by column. The name is for errors.
func ReadFeatures(r io.Reader, name string, prep data.Prep) (*data.Table, error) {
	in, err := newStream(r, name)
	if err != nil {
		return nil, err
	}
	t, err := features(in, &prep)
	return t, tell(err, false)
}

// OpenFeatures is ReadFeatures from a file; file.npz:name names an array of an
// archive.
func OpenFeatures(ctx context.Context, path string, prep data.Prep) (*data.Table, error) {
	t, err := openFeatures(ctx, path, prep)
	return t, tell(err, false)
}

func openFeatures(ctx context.Context, path string, prep data.Prep) (*data.Table, error) {
	if strings.HasSuffix(path, ".npz") || strings.Contains(path, ".npz:") {
		a, err := openArray(ctx, infile.Files{}, path)
		if err != nil {
			return nil, err
		}
		return preparedArray(a, path, &prep)
	}
	in, err := open(ctx, infile.Files{}, path)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	return features(in, &prep)
}

func features(in *input, prep *data.Prep) (*data.Table, error) {
	buffered, ok := in.Reader.(*bufio.Reader)
	if !ok {
		panic("source: invariant: input is not buffered")
	}
	start, _ := buffered.Peek(6)
	encoding := ""
	if prep.CSV != nil {
		encoding = prep.CSV.Encoding
	}
	switch {
	case len(start) == 0:
		return nil, fmt.Errorf("%s: empty file, want rows", in.name)
	case bytes.HasPrefix(start, []byte(npyMagic)):
		a, err := decodeNPY(in)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", in.name, err)
		}
		return preparedArray(a, in.name, prep)
	case bytes.HasPrefix(start, []byte{0, 0, idxBytes}):
		dims, elems, err := decodeIDX(in)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", in.name, err)
		}
		return prepared(data.Table{Shape: idxRow(dims), U8: elems}, in.name, prep)
	case start[0] == '[' || start[0] == '{':
		encoding = encUTF8 // JSON has no other
	}
	lines, err := text(buffered, encoding, "CSV, NPY, IDX or JSON lines", false)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", in.name, err)
	}
	switch start, _ := lines.Peek(1); {
	case len(start) > 0 && (start[0] == '[' || start[0] == '{'):
		return jsonFeatures(lines, in.name, prep)
	case prep.CSV == nil:
		return plainCSV(lines, in.name, prep)
	}
	rows, err := decodeText(context.Background(), lines, in.name, knownFormat(prep.CSV),
		func(fields []string) (*layout, error) { return knownLayout(prep, fields, false) })
	if err != nil {
		return nil, err
	}
	return knownRows(rows, in.name, prep)
}

// knownRows makes a table of rows that knownLayout chose.
func knownRows(rows *csvRows, name string, prep *data.Prep) (*data.Table, error) {
	lay, err := knownLayout(prep, prep.CSV.Fields, false)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	x := lay.table(rows)
	if err := encode(&x, prep); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return &x, nil
}

// preparedArray is prepared for an array.
func preparedArray(a *array, name string, prep *data.Prep) (*data.Table, error) {
	if prep.Ints && (a.f32 != nil || a.f64 != nil) {
		return nil, fmt.Errorf("%s: %w", name, a.notIDs())
	}
	if !prep.Ints && !prep.Normalizes() {
		if err := a.exact(); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return prepared(a.table(), name, prep)
}

// prepared gives a table the shape and normalisation of the training. Rows may
// have another shape of the same size.
func prepared(x data.Table, name string, prep *data.Prep) (*data.Table, error) {
	want := (&data.Table{Shape: prep.Shape}).RowSize()
	if got := x.RowSize(); got != want {
		return nil, fmt.Errorf("%s: rows of %d elements, shape %v; the model takes %d, shape %v", name,
			got, x.Shape, want, prep.Shape)
	}
	if err := prep.Normalize(&x); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return &x, nil
}

// plainCSV reads rows of numbers for a model that was not trained on CSV. A
// first line of anything else is taken for a header.
func plainCSV(in *bufio.Reader, name string, prep *data.Prep) (*data.Table, error) {
	size := (&data.Table{Shape: prep.Shape}).RowSize()
	columns := make([]csvColumn, size)
	lay := &layout{columns: columns, label: -1, known: true, exact: !prep.Ints && !prep.Normalizes()}
	header := false
	if line, _ := in.Peek(chunk); len(line) > 0 {
		line, _, _ = bytes.Cut(line, []byte("\n"))
		cell, _, _ := bytes.Cut(line, []byte(","))
		_, err := number(strings.TrimSpace(strings.Trim(strings.TrimSpace(string(cell)), `"`)))
		header = errors.Is(err, errNotNumber)
	}
	format := csvFormat{delimiter: ",", header: header, known: true}
	rows, err := decodeText(context.Background(), in, name, format, func(fields []string) (*layout, error) {
		if len(fields) != size {
			return nil, fmt.Errorf("%d columns, the model takes %d, shape %v", len(fields), size, prep.Shape)
		}
		for i := range columns {
			columns[i] = csvColumn{name: fields[i], field: i}
		}
		return lay, nil
	})
	if err != nil {
		return nil, err
	}
	return preparedNumbers(rows.cells, name, prep)
}

// preparedNumbers is prepared for numbers that were text.
func preparedNumbers(v []float64, name string, prep *data.Prep) (*data.Table, error) {
	x := data.Table{Shape: prep.Shape, F64: v}
	if prep.Ints {
		if err := integers(&x); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return prepared(x, name, prep)
}

// integers makes integer ids of numbers that are whole.
func integers(t *data.Table) error {
	t.I32 = make([]int32, len(t.F64))
	for i, v := range t.F64 {
		if v < math.MinInt32 || v > math.MaxInt32 || v != math.Trunc(v) {
			return fmt.Errorf("row %d: %v, the model takes integer ids", i/t.RowSize(), v)
		}
		t.I32[i] = int32(v)
	}
	t.F64 = nil
	return nil
}
