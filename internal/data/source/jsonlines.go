package source

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/gespann/gespann/internal/data"
)

// jsonFeatures reads JSON lines: each becomes a record of CSV.
func jsonFeatures(r *bufio.Reader, name string, prep *data.Prep) (*data.Table, error) {
	c := &csvReader{name: name, lay: &layout{label: -1, exact: !prep.Ints && !prep.Normalizes()}}
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
			var letters *textError
			if errors.As(err, &letters) {
				return nil, fmt.Errorf("%s:%d: %s", name, letters.line, letters.msg)
			}
			return nil, fmt.Errorf("%s: row %d: %w", name, row, err)
		}
		if err := c.addJSON(value, prep); err != nil {
			return nil, fmt.Errorf("%s: row %d: %w", name, row, err)
		}
	}
	if prep.CSV != nil {
		return knownRows(&c.out, name, prep)
	}
	return preparedNumbers(c.out.cells, name, prep)
}

// addJSON adds a row: numbers in the order of the features, or cells by name.
func (c *csvReader) addJSON(value any, prep *data.Prep) error {
	var cells []string
	var err error
	object, isObject := value.(map[string]any)
	switch {
	case isObject && prep.CSV == nil:
		return errors.New("an object, but the model was not trained on named columns" +
			"\nhint: write an array of numbers")
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
				return fmt.Errorf("%q: category %s does not occur in %s", col.name, quote(cell), c.lay.origin)
			}
			c.out.cells = append(c.out.cells, float64(id))
			continue
		}
		v, err := c.lay.number(cell)
		if err != nil {
			return fmt.Errorf("value %d: %w", i, err)
		}
		c.out.cells = append(c.out.cells, v)
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
