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
	return features(in, &prep)
}

// OpenFeatures is ReadFeatures from a file; file.npz:name names an array of an
// archive.
func OpenFeatures(path string, prep data.Prep) (*data.Table, error) {
	if strings.HasSuffix(path, ".npz") || strings.Contains(path, ".npz:") {
		a, err := openArray(path)
		if err != nil {
			return nil, err
		}
		return prepared(a.table(), path, &prep)
	}
	in, err := open(path)
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
	switch {
	case len(start) == 0:
		return nil, fmt.Errorf("%s: empty file, want rows", in.name)
	case bytes.HasPrefix(start, []byte("\x93NUMPY")):
		a, err := decodeNPY(in)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", in.name, err)
		}
		return prepared(a.table(), in.name, prep)
	case bytes.HasPrefix(start, []byte{0, 0, idxBytes}):
		dims, elems, err := decodeIDX(in)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", in.name, err)
		}
		return prepared(data.Table{Shape: idxRow(dims), U8: elems}, in.name, prep)
	case bytes.HasPrefix(start, []byte("PK\x03\x04")):
		return nil, fmt.Errorf("%s: is a zip archive, want CSV, NPY, IDX or JSON lines"+
			"\nhint: name an array of an .npz file as file.npz:name", in.name)
	case start[0] == '[' || start[0] == '{':
		return jsonFeatures(buffered, in.name, prep)
	case prep.CSV == nil:
		return plainCSV(in, prep)
	}
	rows, err := decodeCSV(context.Background(), in, csvFormat{prep.CSV.Delimiter, prep.CSV.Header},
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
	x, err := lay.table(rows)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return prepared(x, name, prep)
}

// prepared gives a table the shape and normalisation of the training. Rows may
// have another shape of the same size.
func prepared(x data.Table, name string, prep *data.Prep) (*data.Table, error) {
	want := (&data.Table{Shape: prep.Shape}).RowSize()
	if got := x.RowSize(); got != want {
		return nil, fmt.Errorf("%s: rows of %d elements, shape %v; the model takes %d, shape %v", name,
			got, x.Shape, want, prep.Shape)
	}
	if prep.Ints && x.F32 != nil {
		return nil, fmt.Errorf("%s: holds floats, the model takes integer ids", name)
	}
	x.Shape, x.Scale, x.Shift = prep.Shape, prep.Scale, prep.Shift
	return &x, nil
}

// plainCSV reads rows of numbers for a model that was not trained on CSV. A
// first line of anything else is taken for a header.
func plainCSV(in *input, prep *data.Prep) (*data.Table, error) {
	size := (&data.Table{Shape: prep.Shape}).RowSize()
	columns := make([]csvColumn, size)
	lay := &layout{columns: columns, label: -1}
	header := false
	if line, _ := in.Reader.(*bufio.Reader).Peek(chunk); len(line) > 0 {
		line, _, _ = bytes.Cut(line, []byte("\n"))
		cell, _, _ := bytes.Cut(bytes.TrimPrefix(line, []byte("\ufeff")), []byte(","))
		_, err := number(strings.TrimSpace(strings.Trim(strings.TrimSpace(string(cell)), `"`)))
		header = errors.Is(err, errNotNumber)
	}
	format := csvFormat{",", header}
	rows, err := decodeCSV(context.Background(), in, format, func(fields []string) (*layout, error) {
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
	x := data.Table{Shape: prep.Shape, F32: rows.numbers}
	if prep.Ints {
		if x, err = integers(x); err != nil {
			return nil, fmt.Errorf("%s: %w", in.name, err)
		}
	}
	return prepared(x, in.name, prep)
}

// integers makes integer ids of floats that are whole.
func integers(t data.Table) (data.Table, error) {
	t.I32 = make([]int32, len(t.F32))
	for i, v := range t.F32 {
		if v < math.MinInt32 || v >= -math.MinInt32 || v != float32(math.Trunc(float64(v))) {
			return t, fmt.Errorf("row %d: %v, the model takes integer ids", i/t.RowSize(), v)
		}
		t.I32[i] = int32(v)
	}
	t.F32 = nil
	return t, nil
}
