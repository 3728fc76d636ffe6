package source

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"github.com/gespann/gespann/model/spec"
)

// csvRows are the cells that a layout takes, row by row.
type csvRows struct {
	rows    int
	numbers []float32 // of the numeric columns
	ids     []int32   // of the categorical columns, as numbers in their dicts
	classes []int32   // labels; or
	targets []float32
}

// readCSVFile reads a file by the layout that lay makes of its field names.
func readCSVFile(
	ctx context.Context, path string, d spec.CSV, lay func(fields []string) (*layout, error),
) (*csvRows, error) {
	in, err := open(path)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	return decodeCSV(ctx, in, csvFormat{d.Delimiter, d.Header}, lay)
}

// A csvFormat says how the text is cut into fields.
type csvFormat struct {
	delimiter string
	header    bool
}

// decodeCSV reads records one by one. Errors start with the name, the line and
// the column.
func decodeCSV(
	ctx context.Context, in *input, format csvFormat, lay func([]string) (*layout, error),
) (*csvRows, error) {
	comma, err := delimiter(format.delimiter)
	if err != nil {
		return nil, err
	}
	c := &csvReader{name: in.name, csv: csv.NewReader(&lineReader{r: withoutBOM(in)})}
	c.csv.Comma, c.csv.ReuseRecord, c.csv.FieldsPerRecord = comma, true, -1
	first, err := c.next()
	if errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: empty file, want rows", in.name)
	}
	if err != nil {
		return nil, err
	}
	if c.fields, err = fieldNames(first, format.header); err != nil {
		return nil, fmt.Errorf("%s:1: %w", in.name, err)
	}
	if c.lay, err = lay(c.fields); err != nil {
		return nil, fmt.Errorf("%s: %w", in.name, err)
	}
	record := first
	if format.header {
		record, err = c.next()
	}
	for ; err == nil; record, err = c.next() {
		if err := c.add(record); err != nil {
			return nil, err
		}
		if c.out.rows%1024 == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
	if !errors.Is(err, io.EOF) {
		return nil, err
	}
	if c.out.rows == 0 {
		return nil, fmt.Errorf("%s: a header and no rows", in.name)
	}
	return &c.out, nil
}

// withoutBOM skips a byte order mark.
func withoutBOM(r io.Reader) io.Reader {
	start := make([]byte, 3)
	n, _ := io.ReadFull(r, start) // a real error comes again
	if string(start[:n]) == "\ufeff" {
		n = 0
	}
	return io.MultiReader(strings.NewReader(string(start[:n])), r)
}

// fieldNames returns the names in the header, or 0, 1, ... without one.
func fieldNames(first []string, header bool) ([]string, error) {
	names := make([]string, len(first))
	seen := make(map[string]bool, len(first))
	for i, f := range first {
		names[i] = strconv.Itoa(i)
		if f = strings.TrimSpace(f); header && f != "" {
			names[i] = strings.Clone(f)
		}
		if seen[names[i]] {
			return nil, fmt.Errorf("column %s twice", quote(names[i]))
		}
		seen[names[i]] = true
	}
	return names, nil
}

type csvReader struct {
	name   string
	csv    *csv.Reader
	fields []string
	lay    *layout
	out    csvRows
}

// next returns a record, which the next call overwrites.
func (c *csvReader) next() ([]string, error) {
	record, err := c.csv.Read()
	var parse *csv.ParseError
	if errors.As(err, &parse) {
		return nil, fmt.Errorf("%s:%d:%d: %w", c.name, parse.Line, parse.Column, parse.Err)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: %w", c.name, err)
	}
	return record, err
}

func (c *csvReader) add(record []string) error {
	if len(record) != len(c.fields) {
		return c.ragged(record)
	}
	for _, col := range c.lay.columns {
		cell := strings.TrimSpace(record[col.field])
		if col.dict != nil {
			if err := c.category(col, cell); err != nil {
				return err
			}
			continue
		}
		v, err := number(cell)
		if err != nil {
			return c.numberError(col.field, err)
		}
		c.out.numbers = append(c.out.numbers, v)
	}
	c.out.rows++
	return c.label(record)
}

// numberError explains a cell that is not a number: text in the first row means
// a column that is not numeric.
func (c *csvReader) numberError(field int, err error) error {
	hint := ""
	if errors.Is(err, errNotNumber) {
		hint = "\nhint: list it in data.csv.categorical"
		if c.out.rows == 0 && c.lay.columns[0].field == field {
			hint += ", or check data.csv.header"
		}
	}
	return fmt.Errorf("%w%s", c.at(field, err), hint)
}

func (c *csvReader) category(col csvColumn, cell string) error {
	if cell == "" {
		return c.at(col.field, errors.New("empty cell, want a category"))
	}
	id, ok := col.dict.id(cell)
	if !ok {
		return c.at(col.field, fmt.Errorf("category %s does not occur in %s", quote(cell), c.lay.origin))
	}
	if !c.lay.ids && len(col.dict.words) > maxCategories {
		return c.at(col.field,
			fmt.Errorf("more than %d categories, too many to encode one-hot", maxCategories))
	}
	c.out.ids = append(c.out.ids, id)
	return nil
}

func (c *csvReader) label(record []string) error {
	lay := c.lay
	if lay.label < 0 {
		return nil
	}
	cell := strings.TrimSpace(record[lay.label])
	if cell == "" {
		return c.at(lay.label, errors.New("empty cell, want a label"))
	}
	v, err := number(cell)
	if lay.auto {
		lay.auto = false
		if errors.Is(err, errNotNumber) {
			lay.classes = newDict(nil)
		}
	}
	if lay.classes == nil {
		c.out.targets = append(c.out.targets, v)
		if err != nil {
			return c.at(lay.label, err)
		}
		return nil
	}
	id, ok := lay.classes.id(cell)
	if !ok {
		return c.at(lay.label, fmt.Errorf("label %s does not occur in %s", quote(cell), lay.origin))
	}
	if len(lay.classes.words) > maxClasses {
		return c.at(lay.label,
			fmt.Errorf("more than %d classes\nhint: set data.csv.task: regression", maxClasses))
	}
	c.out.classes = append(c.out.classes, id)
	return nil
}

// at names the line and column of a cell of the current record.
func (c *csvReader) at(field int, err error) error {
	line, _ := c.csv.FieldPos(field)
	return fmt.Errorf("%s:%d: column %s: %w", c.name, line, quote(c.fields[field]), err)
}

func (c *csvReader) ragged(record []string) error {
	line, _ := c.csv.FieldPos(0)
	if len(record) < len(c.fields) {
		return fmt.Errorf("%s:%d: %d fields, want %d: nothing for column %s", c.name, line,
			len(record), len(c.fields), quote(c.fields[len(record)]))
	}
	return fmt.Errorf("%s:%d: %d fields, want %d: %s is too many", c.name, line, len(record),
		len(c.fields), quote(record[len(c.fields)]))
}

var errNotNumber = errors.New("not a number")

// number reads a finite float32.
func number(cell string) (float32, error) {
	v, err := strconv.ParseFloat(cell, 32)
	switch {
	case cell == "":
		return 0, errors.New("empty cell, want a number")
	case errors.Is(err, strconv.ErrRange):
		return 0, fmt.Errorf("%s is out of the range of float32", clip(cell))
	case err != nil:
		return 0, fmt.Errorf("%s: %w", quote(cell), errNotNumber)
	case math.IsNaN(v) || math.IsInf(v, 0):
		return 0, fmt.Errorf("%s, want a finite number", cell)
	}
	return float32(v), nil
}
