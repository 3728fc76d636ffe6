package source

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
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
		return nil, fmt.Errorf("%s: is a zip archive, want CSV, NPY, IDX or JSON lines\nhint: name an array of an .npz file as file.npz:name", in.name)
	case start[0] == '[' || start[0] == '{':
		return jsonFeatures(buffered, in.name, prep)
	case prep.CSV == nil:
		return plainCSV(in, prep)
	}
	rows, err := decodeCSV(context.Background(), in, prep.CSV.Delimiter, prep.CSV.Header,
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
	rows, err := decodeCSV(context.Background(), in, ",", header, func(fields []string) (*layout, error) {
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
		t.I32[i] = int32(v)
		if float32(t.I32[i]) != v {
			return t, fmt.Errorf("row %d: %v, the model takes integer ids", i/t.RowSize(), v)
		}
	}
	t.F32 = nil
	return t, nil
}

// jsonFeatures reads JSON lines: each becomes a record of CSV.
func jsonFeatures(r *bufio.Reader, name string, prep *data.Prep) (*data.Table, error) {
	c := &csvReader{name: name, lay: &layout{label: -1}}
	if prep.CSV != nil {
		var err error
		if c.lay, err = knownLayout(prep, prep.CSV.Fields, false); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	decoder := json.NewDecoder(r)
	decoder.UseNumber()
	for row := 0; ; row++ {
		var value any
		if err := decoder.Decode(&value); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, fmt.Errorf("%s: row %d: %w", name, row, err)
		}
		if err := c.addJSON(value, prep); err != nil {
			return nil, fmt.Errorf("%s: row %d: %w", name, row, err)
		}
	}
	if prep.CSV != nil {
		return knownRows(&c.out, name, prep)
	}
	x := data.Table{Shape: prep.Shape, F32: c.out.numbers}
	if prep.Ints {
		var err error
		if x, err = integers(x); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return prepared(x, name, prep)
}

// addJSON adds a row: numbers in the order of the features, or cells by name.
func (c *csvReader) addJSON(value any, prep *data.Prep) error {
	var cells []string
	var err error
	object, isObject := value.(map[string]any)
	switch {
	case isObject && prep.CSV == nil:
		return errors.New("an object, but the model was not trained on named columns\nhint: write an array of numbers")
	case isObject:
		for _, col := range c.lay.columns {
			v, ok := object[col.name]
			if !ok {
				return fmt.Errorf("no key %q", col.name)
			}
			if cells, err = flatten(cells, v); err != nil {
				return fmt.Errorf("%q: %w", col.name, err)
			}
		}
	default:
		if cells, err = flatten(nil, value); err != nil {
			return err
		}
	}
	want := (&data.Table{Shape: prep.Shape}).RowSize()
	if prep.CSV != nil {
		want = len(c.lay.columns)
	}
	if len(cells) != want {
		return fmt.Errorf("%d values, want %d", len(cells), want)
	}
	return c.addCells(cells)
}

// addCells adds one cell per feature.
func (c *csvReader) addCells(cells []string) error {
	for i, cell := range cells {
		if i < len(c.lay.columns) && c.lay.columns[i].dict != nil {
			col := c.lay.columns[i]
			id, ok := col.dict.id(cell)
			if !ok {
				return fmt.Errorf("%q: category %q does not occur in %s", col.name, cell, c.lay.origin)
			}
			c.out.ids = append(c.out.ids, id)
			continue
		}
		v, err := number(cell)
		if err != nil {
			return fmt.Errorf("value %d: %w", i, err)
		}
		c.out.numbers = append(c.out.numbers, v)
	}
	c.out.rows++
	return nil
}

// flatten appends the numbers and strings of a JSON value.
func flatten(cells []string, value any) ([]string, error) {
	switch v := value.(type) {
	case json.Number:
		return append(cells, v.String()), nil
	case string:
		return append(cells, v), nil
	case bool:
		return append(cells, strconv.FormatBool(v)), nil
	case []any:
		var err error
		for _, e := range v {
			if cells, err = flatten(cells, e); err != nil {
				return nil, err
			}
		}
		return cells, nil
	}
	return nil, errors.New("want numbers")
}
